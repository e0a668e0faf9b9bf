//! Paths and queries of HTTP requests, and the search for the operation that they ask for.
//!
//! Holds that doubled and trailing slashes change nothing, that a path is the same when its parts are encoded anew, that
//! an operation gets as many parameters as its pattern has, and that a surface that is not open is never found.

#![no_main]

mod support;

use http::Method;
use libfuzzer_sys::fuzz_target;
use muster_rest::ROUTES;
use muster_rest::router::{Found, MAX_TARGET, Path, Query, Surface, find};
use muster_wire::sas;

const METHODS: [Method; 8] = [
    Method::DELETE,
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PATCH,
    Method::POST,
    Method::PUT,
    Method::TRACE,
];

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, rest)) = support::choose(bytes, 8) else {
        return;
    };
    let Ok(target) = std::str::from_utf8(rest) else {
        return;
    };
    let (path, query) = target
        .split_once('?')
        .map_or((target, None), |(p, q)| (p, Some(q)));
    parameters(query);
    let Ok(read) = Path::parse(path) else { return };
    assert!(read.segments().iter().all(|segment| !segment.is_empty()));
    if path.len() < MAX_TARGET / 2 {
        assert_eq!(
            Path::parse(&format!("/{}/", path.replace('/', "//"))).as_ref(),
            Ok(&read)
        );
    }
    let anew: String = read
        .segments()
        .iter()
        .map(|segment| format!("/{}", sas::encode(segment)))
        .collect();
    if anew.len() <= MAX_TARGET {
        assert_eq!(Path::parse(&anew).as_ref(), Ok(&read));
    }
    let method = &METHODS[usize::from(choice)];
    if let Found::Operation(surface, operation, parameters) = find(ROUTES, |_| true, method, &read) {
        let route = ROUTES
            .iter()
            .find(|route| route.operation == operation)
            .expect("a route");
        let wanted = route.pattern.split('/').filter(|part| *part == "{}").count();
        assert_eq!(parameters.len(), wanted);
        assert!(
            parameters
                .iter()
                .all(|parameter| read.segments().contains(parameter))
        );
        let without = find(ROUTES, |other| other != surface, method, &read);
        assert!(!matches!(without, Found::Operation(found, ..) if found == surface));
    }
    let public = find(ROUTES, |surface| surface == Surface::Public, method, &read);
    assert!(!matches!(public, Found::Operation(surface, ..) if surface != Surface::Public));
});

fn parameters(query: Option<&str>) {
    let read = Query::parse(query);
    for name in ["api-version", "$top", "forceClientRegistration"] {
        let Some(value) = read.value(name) else { continue };
        let anew = format!(
            "{}={}",
            sas::encode(&name.to_ascii_uppercase()),
            sas::encode(value)
        );
        assert_eq!(Query::parse(Some(&anew)).value(name), Some(value));
    }
}
