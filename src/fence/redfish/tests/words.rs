//! A BMC that puts our password into whatever it says. A fake: no BMC that is for sale does that, one that was taken over
//! can.

use super::*;

const PASSWORD: &str = "hunter2";

/// A BMC without sessions whose system is this.
async fn shows(system: &'static str) -> (Server, Redfish) {
    let server = Server::start(move |request| match request.path.as_str() {
        "/redfish/v1/" => answer(200, r#"{"Systems": {"@odata.id": "/redfish/v1/Systems"}}"#),
        _ if request.method == "GET" => answer(200, system),
        _ => answer(204, ""),
    })
    .await;
    let redfish = Redfish::new(target(&server)).unwrap();
    (server, redfish)
}

#[tokio::test]
async fn a_power_state_that_is_no_word_of_the_standard_is_not_told() {
    for system in [
        r#"{"UUID": "4c4c4544-0042-3510-8052-b4c04f4a3532", "PowerState": "hunter2"}"#,
        r#"{"UUID": "4c4c4544-0042-3510-8052-b4c04f4a3532", "PowerState": "2retnuh\u001b[2J"}"#,
    ] {
        let (_server, redfish) = shows(system).await;
        assert_eq!(
            redfish.power_state().await.unwrap(),
            Power::Other("an unknown word".to_owned())
        );
    }
    // It takes the reset, and stays so.
    let (_server, redfish) = shows(
        r##"{"UUID": "4c4c4544-0042-3510-8052-b4c04f4a3532", "PowerState": "hunter2",
            "Actions": {"#ComputerSystem.Reset": {"target": "/go"}}}"##,
    )
    .await;
    let methods = Methods::new("cmp-1".parse().unwrap(), vec![FenceMethod::Redfish(redfish)]);
    let failed = methods
        .power_off(&Freely, &watch(), &BTreeSet::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        failed.contains("still an unknown word") && !failed.contains(PASSWORD),
        "{failed}"
    );
    for word in ["PoweringOn", "PoweringOff", "Paused"] {
        let system = format!(r#"{{"UUID": "{UUID}", "PowerState": "{word}"}}"#);
        let (_server, redfish) = shows(String::leak(system)).await;
        assert_eq!(redfish.power_state().await.unwrap().to_string(), word);
    }
}

#[tokio::test]
async fn what_another_machine_calls_itself_is_told_only_where_it_is_a_uuid() {
    let other = "00000000-0000-4000-8000-00000000000a";
    for (system, password, told) in [
        (r#"{"UUID": "hunter2"}"#, PASSWORD, "UUID that is none,"),
        (r#"{"UUID": null}"#, PASSWORD, "UUID none,"),
        (
            r#"{"UUID": " 0000000000004000800000000000000A"}"#,
            PASSWORD,
            other,
        ),
        // Our password is one, and comes back in other letters.
        (
            r#"{"UUID": "{00000000-0000-4000-8000-00000000000A}"}"#,
            "0000000000004000800000000000000a",
            "UUID (hidden),",
        ),
    ] {
        let (server, _) = shows(system).await;
        let mut target = target(&server);
        target.password = SecretSource::Inline(Secret::new(password.to_owned()));
        let error = Redfish::new(target).unwrap().power_state().await.unwrap_err();
        let words = error.to_string();
        assert!(
            matches!(error, Error::OtherMachine { .. }) && words.contains(told) && !words.contains(PASSWORD),
            "{words}"
        );
    }
}

#[tokio::test]
async fn without_the_password_at_hand_a_bmcs_words_are_left_out() {
    let server = Server::start(|_| answer(500, r#"{"error": {"message": "hunter2"}}"#)).await;
    let mut target = target(&server);
    target.password = SecretSource::File("/nonexistent/bmc".into());
    let words = Redfish::new(target)
        .unwrap()
        .power_state()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        words.contains("500") && words.contains("words are left out") && !words.contains(PASSWORD),
        "{words}"
    );
}

/// serde quotes what it cannot read, with its own escapes.
#[tokio::test]
async fn a_password_is_found_in_escaped_words_as_well() {
    let (server, _) = shows(r#""hunt\"er\\2""#).await;
    let mut target = target(&server);
    target.password = SecretSource::Inline(Secret::new(r#"hunt"er\2"#.to_owned()));
    let words = Redfish::new(target)
        .unwrap()
        .power_state()
        .await
        .unwrap_err()
        .to_string();
    assert!(
        words.contains("(hidden)") && !words.contains("hunt") && !words.contains("er\\"),
        "{words}"
    );
}
