//! `lazaret quarantine adopt`: how a person takes on a host whose case the database has lost.

use std::sync::Arc;

use super::responder;
use crate::{
    cli::{
        exit::{Exit, Trouble},
        out,
        who::who,
    },
    config::Config,
    ids::HostName,
    respond::NotAdopted,
    store::Store,
};

pub(super) async fn adopt(
    config: &Arc<Config>,
    store: Store,
    host: &HostName,
    because: &str,
) -> Result<Exit, Trouble> {
    let respond = responder::of(config, store, host).await?;
    let adopted = Box::pin(respond.adopt(host, &who(), because))
        .await
        .map_err(trouble)?;
    let id = &adopted.case;
    out::print(&format!(
        "{id}: {host} is adopted, and held down as it was found\n"
    ));
    for line in &adopted.done {
        out::print(&format!("  {}\n", out::plain(line)));
    }
    out::print(&if adopted.closed {
        format!("Nothing is left to be done. `lazaret quarantine release {host}` gives it back.\n")
    } else {
        format!(
            "The rest waits: `lazaret quarantine approve {id}` carries it out; `lazaret quarantine dismiss {id}` leaves it as \
             it is, for `lazaret quarantine release {host}`.\n"
        )
    });
    Ok(Exit::Ok)
}

fn trouble(why: NotAdopted) -> Trouble {
    match why {
        NotAdopted::Cloud(error) => error.into(),
        NotAdopted::Store(error) => error.into(),
        NotAdopted::NoCloud => Trouble::new(Exit::Config, why),
        NotAdopted::NotEnrolled(_) | NotAdopted::NoPlan(_) => Trouble::new(Exit::NoInput, why),
        NotAdopted::HasCase(_)
        | NotAdopted::NoMark(_)
        | NotAdopted::Silence { .. }
        | NotAdopted::InService(..) => Trouble::new(Exit::Data, why),
    }
}
