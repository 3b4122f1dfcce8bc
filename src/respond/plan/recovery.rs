//! Who rebuilds the instances elsewhere.

use serde::{Deserialize, Serialize};

use super::instance::{PlannedInstance, Way};
use crate::config;
use crate::respond::inventory::Masakari;

/// Who rebuilds the instances elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Recovery {
    /// Masakari, told that the host is off.
    Masakari {
        /// The segment that the host is in, where that is known.
        segment: Option<String>,
        /// Why.
        because: String,
    },
    /// Lazaret itself, one nova evacuation for each instance.
    Nova {
        /// Masakari knows the host: it is put under maintenance there first, so that none runs beside us.
        pause_masakari: bool,
        /// Why.
        because: String,
    },
}

pub(super) fn recovery(
    response: &config::Response,
    masakari: &Masakari,
    instances: &[PlannedInstance],
) -> Recovery {
    let pause_masakari = matches!(masakari, Masakari::Host(_) | Masakari::NotKnown(_));
    let nova = |because: String| Recovery::Nova {
        pause_masakari,
        because,
    };
    if response.recovery == config::Recovery::Nova {
        return nova("response.recovery = \"nova\"".to_owned());
    }
    let stay = instances
        .iter()
        .filter(|instance| instance.way != Way::Evacuate)
        .count();
    if stay > 0 {
        return nova(format!(
            "{stay} of {} instances are left where they are, and Masakari would move every one",
            instances.len()
        ));
    }
    if response.on_arrival == config::OnArrival::Stopped {
        return nova("response.on_arrival = \"stopped\", and Masakari would start what ran".to_owned());
    }
    match masakari {
        Masakari::Absent => nova("the cloud has no Masakari".to_owned()),
        Masakari::NoSegment => nova("the host is in no segment of Masakari".to_owned()),
        Masakari::Host(known) if known.segment_enabled == Some(false) => nova(format!(
            "Masakari's segment {} is disabled, so it would ignore the notification",
            known.segment_name
        )),
        Masakari::Host(known) if known.on_maintenance => {
            nova("Masakari has the host under maintenance, so it would refuse the notification".to_owned())
        }
        Masakari::Host(known) => Recovery::Masakari {
            segment: Some(known.segment_name.clone()),
            because: format!(
                "response.recovery = \"masakari\", and segment {} recovers by {}",
                known.segment_name, known.recovery_method
            ),
        },
        Masakari::NotKnown(why) => Recovery::Masakari {
            segment: None,
            because: format!("response.recovery = \"masakari\"; its segment is not known yet ({why})"),
        },
    }
}
