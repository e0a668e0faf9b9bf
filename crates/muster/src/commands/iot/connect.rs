//! Finds the server that a command speaks to, and the names behind which hubs and provisioning services are called.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use muster_client::channel::{HTTPS, MQTT};
use muster_client::dps::Provisioning;
use muster_client::hub::Hub;
use muster_client::management::{Kind, Management, Resource};
use muster_client::own::Own;
use muster_client::{Credential, Server, Trust};
use muster_model::Clock;
use muster_wire::sas::ConnectionString;
use serde::Deserialize;

use super::Problem;
use super::files;
use super::options::{CommonArgs, DpsPlaneArgs, HubPlaneArgs, Owner, Place};
use crate::server::clock::SystemClock;

/// What the running server writes about itself.
#[derive(Debug, Deserialize)]
struct Endpoints {
    https: String,
    #[serde(default)]
    mqtt: Option<String>,
    domain: String,
    #[serde(default)]
    subscription: Option<String>,
}

impl Endpoints {
    /// The server that wrote them.
    fn server(&self, trust: Trust) -> Result<Server, Problem> {
        let place = |text: &str, usual: u16| -> Result<(String, u16), Problem> {
            let (address, port) = Server::split(text)?;
            Ok((reachable(&address), port.unwrap_or(usual)))
        };
        let (https, port) = place(&self.https, HTTPS)?;
        let mqtt = self.mqtt.as_deref().map(|text| place(text, MQTT)).transpose()?;
        Ok(Server::at(https, port, trust).with_mqtt(mqtt))
    }
}

/// The server that a command speaks to.
pub(crate) struct Session {
    server: Server,
    /// The name by which management is called.
    host: String,
    token_file: PathBuf,
    subscription: Option<String>,
    clock: Arc<dyn Clock>,
}

impl Session {
    /// Finds the server: the one that was named, or the one whose data directory it is.
    pub(crate) fn open(args: &impl Place) -> Result<Self, Problem> {
        let place = args.place();
        let directory = args.data_dir();
        let token_file = place
            .token_file
            .clone()
            .unwrap_or_else(|| directory.join("operator.token"));
        let clock = clock();
        if let Some(endpoint) = &place.endpoint {
            let (host, port) = split_endpoint(endpoint)?;
            return Ok(Self {
                server: Server::at(host.clone(), port, trust(place.ca.as_deref(), Some(directory))?),
                host,
                token_file,
                subscription: None,
                clock,
            });
        }
        let endpoints = endpoints(directory)?.ok_or_else(|| {
            Problem::new(format!(
                "no server runs on {}; start one with: muster serve (or name one with --data-dir or --endpoint)",
                directory.display()
            ))
        })?;
        Ok(Self {
            server: endpoints.server(trust(place.ca.as_deref(), Some(directory))?)?,
            host: "localhost".to_owned(),
            token_file,
            subscription: endpoints.subscription,
            clock,
        })
    }

    /// The clock that tokens are dated by.
    pub(super) fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Where the server is.
    pub(super) const fn server(&self) -> &Server {
        &self.server
    }

    fn operator(&self) -> Result<Credential, Problem> {
        let token = files::secret(&self.token_file)?;
        Ok(Credential::Bearer(token))
    }

    fn channel(&self, host: &str) -> Result<muster_client::Channel, Problem> {
        Ok(self.server.channel(host, host, self.operator()?, self.clock())?)
    }

    /// Calls to management.
    pub(super) async fn management(&self) -> Result<Management, Problem> {
        let channel = self.channel(&self.host)?;
        Ok(match &self.subscription {
            Some(subscription) => Management::new(channel, subscription.clone()),
            None => Management::discover(channel).await?,
        })
    }

    /// Calls that only Muster has.
    pub(crate) fn own(&self) -> Result<Own, Problem> {
        Ok(Own::new(self.channel(&self.host)?))
    }

    /// Calls to the service interface of the provisioning service of that full name.
    pub(super) fn provisioning(&self, host: &str) -> Result<Provisioning, Problem> {
        Ok(Provisioning::new(self.channel(host)?))
    }

    /// The full name of a hub or provisioning service: as given where it has dots, else as management tells it.
    pub(super) async fn host_of(
        &self,
        kind: Kind,
        name: Option<&str>,
        group: Option<&str>,
    ) -> Result<String, Problem> {
        if let Some(name) = name.filter(|name| name.contains('.')) {
            return Ok(name.to_owned());
        }
        let resource = self.management().await?.find(kind, name, group).await?;
        Ok(resource.host()?.to_owned())
    }
}

/// Management, and the resource that a command's part belongs to.
pub(super) async fn owner<O: Owner>(
    owner: &O,
    common: &CommonArgs,
) -> Result<(Management, Resource), Problem> {
    resource(O::KIND, owner.name(), common).await
}

/// Management, and the resource that a command speaks of.
pub(super) async fn resource(
    kind: Kind,
    name: Option<&str>,
    common: &CommonArgs,
) -> Result<(Management, Resource), Problem> {
    let management = Session::open(&common.server)?.management().await?;
    // A full host name begins with the name.
    let name = name.map(|name| name.split_once('.').map_or(name, |(label, _)| label));
    let resource = management.find(kind, name, common.group.group.as_deref()).await?;
    Ok((management, resource))
}

/// Calls to a hub's service interface.
pub(super) async fn hub(args: &HubPlaneArgs) -> Result<Hub, Problem> {
    let group = args.common.group.group.as_deref();
    hub_at(
        args.hub.name.as_deref(),
        group,
        args.login.login.as_ref(),
        &args.common.server,
    )
    .await
}

/// Calls to the service interface of the hub that was named, or of that of a connection string.
pub(super) async fn hub_at(
    name: Option<&str>,
    group: Option<&str>,
    login: Option<&ConnectionString>,
    place: &impl Place,
) -> Result<Hub, Problem> {
    if let Some(login) = login {
        let (server, host) = login_server(login, place)?;
        return Ok(Hub::new(server.channel(
            &host,
            &host,
            login_credential(login)?,
            clock(),
        )?));
    }
    let session = Session::open(place)?;
    let host = session.host_of(Kind::Hub, name, group).await?;
    Ok(Hub::new(session.channel(&host)?))
}

/// Where a device finds its hub, and the hub's full name. A full name needs no operator.
pub(super) async fn hub_place(
    name: Option<&str>,
    group: Option<&str>,
    login: Option<&ConnectionString>,
    place: &impl Place,
) -> Result<(Server, String), Problem> {
    if let Some(login) = login {
        return login_server(login, place);
    }
    if let Some(host) = name.filter(|name| name.contains('.')) {
        let (host, port) = Server::split(host)?;
        return Ok((server_of(&host, port, place)?, host));
    }
    let session = Session::open(place)?;
    let host = session.host_of(Kind::Hub, name, group).await?;
    Ok((session.server, host))
}

/// Where a device finds provisioning, and by which name, when nothing but an id scope is known.
pub(super) fn provisioning_place(
    host: Option<&str>,
    place: &impl Place,
) -> Result<(Server, String), Problem> {
    if let Some(host) = host {
        let (host, port) = Server::split(host)?;
        return Ok((server_of(&host, port, place)?, host));
    }
    if let Some(endpoint) = &place.place().endpoint {
        // Under the name of the place itself, the id scope says which service is meant.
        let (host, _) = split_endpoint(endpoint)?;
        return Ok((server_of(&host, None, place)?, host));
    }
    let domain = endpoints(place.data_dir())?.map_or_else(|| "net".to_owned(), |endpoints| endpoints.domain);
    let host = format!("global.azure-devices-provisioning.{domain}");
    Ok((server_of(&host, None, place)?, host))
}

/// Calls to a provisioning service's service interface.
pub(super) async fn provisioning(args: &DpsPlaneArgs) -> Result<Provisioning, Problem> {
    if let Some(login) = &args.login.login {
        let (server, host) = login_server(login, &args.common.server)?;
        let channel = server.channel(&host, &host, login_credential(login)?, clock())?;
        return Ok(Provisioning::new(channel));
    }
    let session = Session::open(&args.common.server)?;
    let group = args.common.group.group.as_deref();
    let host = session
        .host_of(Kind::Dps, args.dps.name.as_deref(), group)
        .await?;
    session.provisioning(&host)
}

/// Where the host of a connection string is, and its name without a port.
///
/// A name that the local server has handed out leads there, for such a string never carries a port; every other name
/// leads where the name service says.
pub(super) fn login_server(login: &ConnectionString, args: &impl Place) -> Result<(Server, String), Problem> {
    let named = login
        .host_name
        .as_deref()
        .ok_or_else(|| Problem::usage("HostName is missing in the connection string"))?;
    let (host, port) = Server::split(named)?;
    Ok((server_of(&host, port, args)?, host))
}

/// Where a full host name leads: to the server that was named, to the local one where the name is under its domain,
/// else where the name service says.
pub(super) fn server_of(host: &str, port: Option<u16>, args: &impl Place) -> Result<Server, Problem> {
    let place = args.place();
    if let Some(endpoint) = &place.endpoint {
        let (through, port) = split_endpoint(endpoint)?;
        return Ok(Server::at(
            through,
            port,
            trust(place.ca.as_deref(), Some(args.data_dir()))?,
        ));
    }
    let local = endpoints(args.data_dir())?.filter(|endpoints| is_under(host, &endpoints.domain));
    if let (None, Some(endpoints)) = (port, local) {
        return endpoints.server(trust(place.ca.as_deref(), Some(args.data_dir()))?);
    }
    Ok(Server::by_name(
        port.unwrap_or(HTTPS),
        trust(place.ca.as_deref(), None)?,
    ))
}

fn login_credential(login: &ConnectionString) -> Result<Credential, Problem> {
    let key = login
        .key
        .as_ref()
        .ok_or_else(|| Problem::usage("SharedAccessKey is missing in the connection string"))?
        .key("SharedAccessKey")
        .map_err(|e| Problem::usage(e.to_string()))?;
    Ok(Credential::Key {
        policy: login.policy.clone(),
        key,
    })
}

/// The machine's clock.
pub(super) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

fn is_under(host: &str, domain: &str) -> bool {
    let (host, domain) = (host.to_ascii_lowercase(), domain.to_ascii_lowercase());
    host.strip_suffix(&domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// A server that listens everywhere is reached at loopback.
fn reachable(address: &str) -> String {
    match address {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "[::]" => "[::1]".to_owned(),
        other => other.to_owned(),
    }
}

fn split_endpoint(endpoint: &str) -> Result<(String, u16), Problem> {
    let place = match endpoint.split_once("://") {
        Some(("https", place)) => place,
        Some((scheme, _)) => {
            return Err(Problem::usage(format!("--endpoint is https, not {scheme}")));
        }
        None => endpoint,
    };
    let place = place.trim_end_matches('/');
    if place.contains('/') {
        return Err(Problem::usage("--endpoint has no path"));
    }
    let (host, port) = Server::split(place).map_err(|e| Problem::usage(format!("--endpoint: {e}")))?;
    Ok((host, port.unwrap_or(HTTPS)))
}

/// The certificates that were given, else those of the data directory, else the system's.
fn trust(ca: Option<&Path>, directory: Option<&Path>) -> Result<Trust, Problem> {
    if let Some(file) = ca {
        return Ok(Trust::Roots(files::read(file)?));
    }
    let Some(file) = directory.map(|directory| directory.join("ca.pem")) else {
        return Ok(Trust::System);
    };
    if file.exists() {
        Ok(Trust::Roots(files::read(&file)?))
    } else {
        Ok(Trust::System)
    }
}

fn endpoints(directory: &Path) -> Result<Option<Endpoints>, Problem> {
    let file = directory.join("endpoints.json");
    if !file.exists() {
        return Ok(None);
    }
    let bytes = files::read(&file)?;
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|e| Problem::new(format!("{}: {e}", file.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_local_only_under_the_domain() {
        assert!(is_under("h.azure-devices.Muster.localhost", "muster.localhost"));
        assert!(!is_under("h.azure-devices.xmuster.localhost", "muster.localhost"));
        assert!(!is_under("h.azure-devices.net", "muster.localhost"));
    }

    #[test]
    fn endpoints_are_https_without_path() {
        assert_eq!(
            split_endpoint("https://localhost:8443/").unwrap(),
            ("localhost".to_owned(), 8443)
        );
        assert_eq!(split_endpoint("[::1]").unwrap(), ("[::1]".to_owned(), 443));
        for bad in ["http://localhost:8443", "https://localhost/path", "https://:1"] {
            assert!(split_endpoint(bad).is_err(), "{bad}");
        }
    }
}
