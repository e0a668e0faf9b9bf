//! Matches a path to an operation.
//!
//! Azure's clients write literal segments in any case, double slashes, leave trailing ones, and percent-encode ids. So a
//! path is split once, each segment is decoded once, and literals are compared without case; ids are handed on as they
//! were decoded. See decision 5. The table of routes is data: the access tests walk over it.

use http::Method;
use percent_encoding::percent_decode_str;

/// Most bytes of a path and query that are looked at.
pub const MAX_TARGET: usize = 8 * 1024;

/// Most segments of a path.
const MAX_SEGMENTS: usize = 24;

/// Which family of calls a path belongs to; it decides the form of errors and what a `Host` must name.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Surface {
    /// Management, in the form of Azure Resource Manager.
    Arm,
    /// Devices registering with a provisioning service.
    DpsDevice,
    /// Back ends and operators at a provisioning service.
    DpsService,
    /// Devices at a hub.
    HubDevice,
    /// Back ends at a hub.
    HubService,
    /// Calls that only Muster has.
    Own,
    /// Calls that anybody may make under any name.
    Public,
}

/// One operation: how it is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Route<O: 'static> {
    /// The family it belongs to.
    pub surface: Surface,
    /// Its method.
    pub verb: Verb,
    /// Its pattern, `{}` standing for a parameter: `devices/{}/messages/events`.
    pub pattern: &'static str,
    /// What it does.
    pub operation: O,
}

/// A method, in a form that can stand in a table of constants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verb {
    /// `DELETE`
    Delete,
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `PATCH`
    Patch,
    /// `POST`
    Post,
    /// `PUT`
    Put,
}

impl Verb {
    /// Reads a request's method; `None` for those that no route has.
    pub fn of(method: &Method) -> Option<Self> {
        Some(match *method {
            Method::DELETE => Self::Delete,
            Method::GET => Self::Get,
            Method::HEAD => Self::Head,
            Method::PATCH => Self::Patch,
            Method::POST => Self::Post,
            Method::PUT => Self::Put,
            _ => return None,
        })
    }
}

/// A path that was split and decoded.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Path(Vec<String>);

/// A path that can't be one of ours.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BadPath {
    /// A segment does not decode to UTF-8, or holds a control character.
    #[error("a part of the path does not decode to text")]
    NotText,
    /// It is longer than is looked at.
    #[error("the path is too long")]
    TooLong,
    /// It holds `.` or `..` as a segment, which only a client that plays tricks sends.
    #[error("the path holds a segment of dots")]
    Traversal,
}

impl Path {
    /// Splits a path at its slashes and decodes each segment once. Empty segments, as doubled and trailing slashes make
    /// them, are dropped.
    ///
    /// # Errors
    /// [`BadPath`].
    pub fn parse(path: &str) -> Result<Self, BadPath> {
        if path.len() > MAX_TARGET {
            return Err(BadPath::TooLong);
        }
        let mut segments = Vec::new();
        for raw in path.split('/').filter(|s| !s.is_empty()) {
            if segments.len() == MAX_SEGMENTS {
                return Err(BadPath::TooLong);
            }
            let text = percent_decode_str(raw)
                .decode_utf8()
                .map_err(|_| BadPath::NotText)?;
            if text.chars().any(char::is_control) {
                return Err(BadPath::NotText);
            }
            if text == "." || text == ".." {
                return Err(BadPath::Traversal);
            }
            segments.push(text.into_owned());
        }
        Ok(Self(segments))
    }

    /// The segments.
    pub fn segments(&self) -> &[String] {
        &self.0
    }
}

/// What a path leads to.
#[derive(Debug, Eq, PartialEq)]
pub enum Found<O> {
    /// One operation, and the texts of its parameters in order.
    Operation(Surface, O, Vec<String>),
    /// The path exists on this surface, with other methods.
    OtherMethod(Surface),
    /// No such path.
    Nothing,
}

/// Finds the operation for a method and path among the surfaces that `allowed` lets through. The first route that fits
/// wins, so that literals stand before parameters in a table.
pub fn find<O: Copy>(
    routes: &[Route<O>],
    allowed: impl Fn(Surface) -> bool,
    method: &Method,
    path: &Path,
) -> Found<O> {
    let wanted = Verb::of(method);
    let mut other = None;
    for route in routes.iter().filter(|route| allowed(route.surface)) {
        if let Some(parameters) = matches(route.pattern, path) {
            if Some(route.verb) == wanted {
                return Found::Operation(route.surface, route.operation, parameters);
            }
            other.get_or_insert(route.surface);
        }
    }
    other.map_or(Found::Nothing, Found::OtherMethod)
}

fn matches(pattern: &str, path: &Path) -> Option<Vec<String>> {
    let same_start = |segment: &String| match (pattern.as_bytes().first(), segment.as_bytes().first()) {
        (Some(b'{'), _) => true,
        (Some(ours), Some(theirs)) => ours.eq_ignore_ascii_case(theirs),
        _ => false,
    };
    if !path.0.first().is_some_and(same_start) {
        return None;
    }
    let mut parts = pattern.split('/');
    for segment in &path.0 {
        let part = parts.next()?;
        if part != "{}" && !part.eq_ignore_ascii_case(segment) {
            return None;
        }
    }
    if parts.next().is_some() {
        return None;
    }
    // Most routes do not fit: the texts are copied for the one that does.
    let parameters = pattern.split('/').zip(&path.0).filter(|(part, _)| *part == "{}");
    Some(parameters.map(|(_, segment)| segment.clone()).collect())
}

/// The parameters of a query string: names are compared without case, values are decoded once, the first of a name
/// counts.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query string; parts that do not decode are dropped, and no more than 32 are kept.
    pub fn parse(query: Option<&str>) -> Self {
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .ok()
                .map(std::borrow::Cow::into_owned)
        };
        let parts = query
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty());
        Self(
            parts
                .filter_map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    Some((decode(name)?, decode(value)?))
                })
                .take(32)
                .collect(),
        )
    }

    /// The value of a parameter.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Op {
        Device,
        Events,
        Register,
        Statistics,
    }

    const ROUTES: &[Route<Op>] = &[
        Route {
            surface: Surface::HubService,
            verb: Verb::Get,
            pattern: "devices/{}",
            operation: Op::Device,
        },
        Route {
            surface: Surface::HubDevice,
            verb: Verb::Post,
            pattern: "devices/{}/messages/events",
            operation: Op::Events,
        },
        Route {
            surface: Surface::HubService,
            verb: Verb::Get,
            pattern: "statistics/devices",
            operation: Op::Statistics,
        },
        Route {
            surface: Surface::DpsDevice,
            verb: Verb::Put,
            pattern: "{}/registrations/{}/register",
            operation: Op::Register,
        },
    ];

    fn look(method: &Method, path: &str) -> Found<Op> {
        find(ROUTES, |_| true, method, &Path::parse(path).unwrap())
    }

    #[test]
    fn literals_match_in_any_case_and_ids_keep_theirs() {
        let found = look(&Method::POST, "/Devices/Dev%3A1/Messages/EVENTS/");
        assert_eq!(
            found,
            Found::Operation(Surface::HubDevice, Op::Events, vec!["Dev:1".into()])
        );
        let found = look(&Method::PUT, "//0ne00000001//registrations/d1/register");
        assert!(matches!(
            found,
            Found::Operation(Surface::DpsDevice, Op::Register, _)
        ));
    }

    #[test]
    fn a_percent_sign_is_decoded_once() {
        let found = look(&Method::GET, "/devices/a%2525b");
        assert_eq!(
            found,
            Found::Operation(Surface::HubService, Op::Device, vec!["a%25b".into()])
        );
        let found = look(&Method::GET, "/devices/a%2Fb");
        assert_eq!(
            found,
            Found::Operation(Surface::HubService, Op::Device, vec!["a/b".into()])
        );
    }

    #[test]
    fn tricks_with_paths_are_refused() {
        assert_eq!(Path::parse("/devices/%2e%2e/x"), Err(BadPath::Traversal));
        assert_eq!(Path::parse("/devices/.."), Err(BadPath::Traversal));
        assert_eq!(Path::parse("/devices/%ff"), Err(BadPath::NotText));
        assert_eq!(Path::parse("/devices/a%00"), Err(BadPath::NotText));
        assert_eq!(Path::parse(&"/a".repeat(30)), Err(BadPath::TooLong));
    }

    #[test]
    fn another_method_is_told_from_another_path() {
        assert_eq!(
            look(&Method::PATCH, "/devices/a"),
            Found::OtherMethod(Surface::HubService)
        );
        assert_eq!(
            look(&Method::OPTIONS, "/devices/a"),
            Found::OtherMethod(Surface::HubService)
        );
        assert_eq!(look(&Method::GET, "/nothing"), Found::Nothing);
        assert_eq!(look(&Method::GET, "/"), Found::Nothing);
    }

    #[test]
    fn surfaces_that_a_host_does_not_serve_are_not_looked_at() {
        let path = Path::parse("/devices/a").unwrap();
        assert_eq!(
            find(ROUTES, |s| s == Surface::DpsDevice, &Method::GET, &path),
            Found::Nothing
        );
    }

    #[test]
    fn queries_are_read_without_case() {
        let query = Query::parse(Some("API-Version=2021-06-01&forceRegistration=true&x"));
        assert_eq!(query.value("api-version"), Some("2021-06-01"));
        assert_eq!(query.value("x"), Some(""));
        assert_eq!(query.value("y"), None);
    }
}
