//! A fence agent's metadata: which options it knows, and whether an option may be given to it.

use std::collections::{BTreeMap, BTreeSet};

/// What an agent says about itself.
#[derive(Debug)]
pub(super) struct Metadata {
    /// By name, the type of the value.
    parameters: BTreeMap<String, String>,
    actions: BTreeSet<String>,
}

/// Options that are ours to set.
const OURS: [&str; 2] = ["action", "option"];

/// Options that make an agent write what it does, passwords included, to a log.
const TALKATIVE: [&str; 4] = ["verbose", "verbose_level", "debug", "debug_file"];

/// The values of a switch that every agent reads.
const BOOLEANS: [&str; 4] = ["1", "0", "true", "false"];

impl Metadata {
    /// Reads `action=metadata`'s XML. DTDs are refused, so that it cannot grow.
    pub(super) fn parse(xml: &str) -> Result<Self, String> {
        // Agents may print warnings first.
        let begin = xml
            .find("<?xml")
            .or_else(|| xml.find("<resource-agent"))
            .unwrap_or(0);
        let text = xml.get(begin..).unwrap_or_default();
        let document = roxmltree::Document::parse(text)
            .map_err(|error| format!("it is not the XML that fence agents print: {error}"))?;
        let named = |tag: &'static str| {
            document
                .descendants()
                .filter(move |node| node.has_tag_name(tag))
                .filter_map(|node| Some((node, node.attribute("name")?.to_owned())))
        };
        let metadata = Self {
            parameters: named("parameter")
                .map(|(node, name)| {
                    let content = node.children().find(|child| child.has_tag_name("content"));
                    let kind = content
                        .and_then(|content| content.attribute("type"))
                        .unwrap_or("string");
                    (name, kind.to_owned())
                })
                .collect(),
            actions: named("action").map(|(_, name)| name).collect(),
        };
        if metadata.parameters.is_empty() {
            return Err("it lists no parameters: is this a fence agent?".to_owned());
        }
        Ok(metadata)
    }

    pub(super) fn has_parameter(&self, name: &str) -> bool {
        self.parameters.contains_key(name)
    }

    pub(super) fn has_action(&self, name: &str) -> bool {
        self.actions.contains(name)
    }

    /// Whether an option may be given; else what to do about it.
    pub(super) fn accepts(&self, key: &str, value: &str) -> Result<(), String> {
        if OURS.contains(&key) {
            return Err(format!("option {key} is set by lazaret; remove it"));
        }
        if TALKATIVE.contains(&key) {
            return Err(format!(
                "option {key} makes the agent log what it sends, the password too; remove it"
            ));
        }
        if key.contains("passw") && !key.ends_with("_script") {
            return Err(format!(
                "option {key} is a secret; keep it in a file and name that as password_file"
            ));
        }
        let Some(kind) = self.parameters.get(key) else {
            return Err(format!(
                "it knows no option \"{}\", and would ignore it; {}",
                key.escape_default(),
                self.nearest(key)
            ));
        };
        // Agents ignore a switch whose value they cannot read, in silence too.
        if kind == "boolean" && !BOOLEANS.contains(&value) {
            return Err(format!("option {key} is a switch: give 1 or 0"));
        }
        if kind == "integer" && value.parse::<i64>().is_err() {
            return Err(format!("option {key} is a number"));
        }
        match unfit(value) {
            Some(fault) => Err(format!(
                "the value of option {key} {fault}, which fence agents cannot read"
            )),
            None => Ok(()),
        }
    }

    fn nearest(&self, wrong: &str) -> String {
        let mut by_distance: Vec<(usize, &str)> = self
            .parameters
            .keys()
            .map(|name| (distance(wrong, name), name.as_str()))
            .collect();
        by_distance.sort();
        let near: Vec<&str> = by_distance
            .iter()
            .filter(|(distance, name)| *distance <= name.len().max(wrong.len()) / 2)
            .take(3)
            .map(|(_, name)| *name)
            .collect();
        if near.is_empty() {
            let all: Vec<&str> = self.parameters.keys().map(String::as_str).collect();
            return format!("it knows {}", all.join(", "));
        }
        format!("did you mean {}?", near.join(", "))
    }
}

/// What makes a value unreadable for an agent: it reads lines, strips them, and takes quotes off.
pub(super) fn unfit(value: &str) -> Option<&'static str> {
    if value.contains(['\n', '\r', '\0']) {
        return Some("holds a line break");
    }
    if value.contains(char::is_whitespace) {
        return Some("holds a space");
    }
    if value.len() > 1 && value.starts_with('"') && value.ends_with('"') {
        return Some("is within quotes");
    }
    None
}

/// How many letters differ (Levenshtein), for names of some 20 letters.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().take(64).enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        let mut next = vec![before];
        for (r, above) in right.iter().zip(row.iter().skip(1)) {
            let cost = diagonal + usize::from(l != *r);
            before = cost.min(before + 1).min(above + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0" ?>
<resource-agent name="fence_ipmilan" shortdesc="Fence agent for IPMI" >
<parameters>
	<parameter name="action" unique="0" required="1"><content type="string" default="reboot"  /></parameter>
	<parameter name="ip" unique="0" required="1" obsoletes="ipaddr"><content type="string"  /></parameter>
	<parameter name="ipport" unique="0" required="0"><content type="integer" default="623"  /></parameter>
	<parameter name="lanplus" unique="0" required="0"><content type="boolean"  /></parameter>
	<parameter name="password" unique="0" required="0"><content type="string"  /></parameter>
	<parameter name="password_script" unique="0" required="0"><content type="string"  /></parameter>
	<parameter name="verbose" unique="0" required="0"><content type="boolean"  /></parameter>
</parameters>
<actions><action name="on" automatic="0"/><action name="off" /><action name="status" /></actions>
</resource-agent>
"#;

    #[test]
    fn a_misspelt_option_is_refused_with_the_nearest_name() {
        let metadata = Metadata::parse(XML).unwrap();
        assert_eq!(metadata.accepts("lanplus", "1"), Ok(()));
        let words = metadata.accepts("lanpuls", "1").unwrap_err();
        assert!(
            words.contains("lanpuls") && words.contains("did you mean lanplus"),
            "{words}"
        );
        let words = metadata.accepts("ip_port", "1").unwrap_err();
        assert!(words.contains("did you mean ipport"), "{words}");
    }

    #[test]
    fn a_switch_that_the_agent_would_not_read_is_refused() {
        let metadata = Metadata::parse(XML).unwrap();
        assert!(metadata.accepts("lanplus", "1x").unwrap_err().contains("switch"));
        assert!(metadata.accepts("ipport", "http").unwrap_err().contains("number"));
    }

    #[test]
    fn options_that_are_ours_or_leak_are_refused() {
        let metadata = Metadata::parse(XML).unwrap();
        for (key, says) in [
            ("action", "set by lazaret"),
            ("password", "password_file"),
            ("verbose", "log"),
        ] {
            let words = metadata.accepts(key, "x").unwrap_err();
            assert!(words.contains(says), "{words}");
        }
        assert_eq!(metadata.accepts("password_script", "/etc/lazaret/pw.sh"), Ok(()));
    }

    #[test]
    fn a_value_cannot_add_a_line() {
        let metadata = Metadata::parse(XML).unwrap();
        for bad in ["1\naction=on", "1\r", "a b", "\"1\""] {
            assert!(metadata.accepts("ip", bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn what_is_not_metadata_is_refused() {
        for bad in [
            "",
            "fence_x: command not found",
            "<a/>",
            "<?xml version=\"1.0\"?><a><b></a>",
        ] {
            assert!(Metadata::parse(bad).is_err(), "{bad:?} was accepted");
        }
        let bomb = "<?xml version=\"1.0\"?><!DOCTYPE a [<!ENTITY b \"bb\">]><a><parameter name=\"x\">&b;</parameter></a>";
        assert!(Metadata::parse(bomb).is_err());
    }
}
