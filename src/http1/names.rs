//! Names of fields that nearly every head has, recognised by their usual spellings.
//!
//! [`HeaderName::from_bytes`] would make each lower-case first and then look for it, and put one that it does not know into
//! memory of its own; here a comparison of a few words says the same.
use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, ACCEPT_RANGES, AGE, AUTHORIZATION, CACHE_CONTROL, CONTENT_ENCODING,
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, DNT, ETAG, EXPIRES, HOST, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, LOCATION, ORIGIN, PRAGMA, RANGE, REFERER, SERVER, SET_COOKIE, STRICT_TRANSPORT_SECURITY,
    UPGRADE_INSECURE_REQUESTS, USER_AGENT, VARY, VIA, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// The name, if it is one of the usual ones in a usual spelling. `None` decides nothing.
pub(super) fn usual(name: &[u8]) -> Option<HeaderName> {
    Some(match name.len() {
        3 => match name {
            b"dnt" | b"DNT" => DNT,
            b"via" | b"Via" => VIA,
            b"age" | b"Age" => AGE,
            _ => return None,
        },
        4 => match name {
            b"host" | b"Host" => HOST,
            b"date" | b"Date" => DATE,
            b"etag" | b"ETag" | b"Etag" => ETAG,
            b"vary" | b"Vary" => VARY,
            _ => return None,
        },
        5 => match name {
            b"range" | b"Range" => RANGE,
            _ => return None,
        },
        6 => match name {
            b"accept" | b"Accept" => ACCEPT,
            b"cookie" | b"Cookie" => COOKIE,
            b"origin" | b"Origin" => ORIGIN,
            b"server" | b"Server" => SERVER,
            b"pragma" | b"Pragma" => PRAGMA,
            _ => return None,
        },
        7 => match name {
            b"referer" | b"Referer" => REFERER,
            b"expires" | b"Expires" => EXPIRES,
            _ => return None,
        },
        8 => match name {
            b"location" | b"Location" => LOCATION,
            b"priority" | b"Priority" => PRIORITY.clone(),
            _ => return None,
        },
        9 => match name {
            b"x-real-ip" | b"X-Real-Ip" | b"X-Real-IP" => X_REAL_IP.clone(),
            b"x-api-key" | b"X-Api-Key" | b"X-API-Key" => X_API_KEY.clone(),
            b"sec-ch-ua" | b"Sec-Ch-Ua" | b"Sec-CH-UA" => SEC_CH_UA.clone(),
            _ => return None,
        },
        10 => match name {
            b"user-agent" | b"User-Agent" => USER_AGENT,
            b"set-cookie" | b"Set-Cookie" => SET_COOKIE,
            b"tracestate" | b"Tracestate" => TRACESTATE.clone(),
            _ => return None,
        },
        11 => match name {
            b"traceparent" | b"Traceparent" => TRACEPARENT.clone(),
            _ => return None,
        },
        12 => match name {
            b"content-type" | b"Content-Type" => CONTENT_TYPE,
            b"x-request-id" | b"X-Request-Id" | b"X-Request-ID" => X_REQUEST_ID.clone(),
            b"x-powered-by" | b"X-Powered-By" => X_POWERED_BY.clone(),
            _ => return None,
        },
        13 => match name {
            b"cache-control" | b"Cache-Control" => CACHE_CONTROL,
            b"authorization" | b"Authorization" => AUTHORIZATION,
            b"if-none-match" | b"If-None-Match" => IF_NONE_MATCH,
            b"last-modified" | b"Last-Modified" => LAST_MODIFIED,
            b"accept-ranges" | b"Accept-Ranges" => ACCEPT_RANGES,
            _ => return None,
        },
        14 => match name {
            b"content-length" | b"Content-Length" => CONTENT_LENGTH,
            b"sec-fetch-dest" | b"Sec-Fetch-Dest" => SEC_FETCH_DEST.clone(),
            b"sec-fetch-mode" | b"Sec-Fetch-Mode" => SEC_FETCH_MODE.clone(),
            b"sec-fetch-site" | b"Sec-Fetch-Site" => SEC_FETCH_SITE.clone(),
            b"sec-fetch-user" | b"Sec-Fetch-User" => SEC_FETCH_USER.clone(),
            _ => return None,
        },
        15 => match name {
            b"accept-encoding" | b"Accept-Encoding" => ACCEPT_ENCODING,
            b"accept-language" | b"Accept-Language" => ACCEPT_LANGUAGE,
            b"x-frame-options" | b"X-Frame-Options" => X_FRAME_OPTIONS,
            b"x-forwarded-for" | b"X-Forwarded-For" => X_FORWARDED_FOR.clone(),
            _ => return None,
        },
        16 => match name {
            b"content-encoding" | b"Content-Encoding" => CONTENT_ENCODING,
            b"x-forwarded-host" | b"X-Forwarded-Host" => X_FORWARDED_HOST.clone(),
            b"sec-ch-ua-mobile" | b"Sec-Ch-Ua-Mobile" | b"Sec-CH-UA-Mobile" => SEC_CH_UA_MOBILE.clone(),
            _ => return None,
        },
        17 => match name {
            b"if-modified-since" | b"If-Modified-Since" => IF_MODIFIED_SINCE,
            b"x-forwarded-proto" | b"X-Forwarded-Proto" => X_FORWARDED_PROTO.clone(),
            _ => return None,
        },
        18 => match name {
            b"sec-ch-ua-platform" | b"Sec-Ch-Ua-Platform" | b"Sec-CH-UA-Platform" => SEC_CH_UA_PLATFORM.clone(),
            _ => return None,
        },
        22 => match name {
            b"x-content-type-options" | b"X-Content-Type-Options" => X_CONTENT_TYPE_OPTIONS,
            _ => return None,
        },
        25 => match name {
            b"strict-transport-security" | b"Strict-Transport-Security" => STRICT_TRANSPORT_SECURITY,
            b"upgrade-insecure-requests" | b"Upgrade-Insecure-Requests" => UPGRADE_INSECURE_REQUESTS,
            _ => return None,
        },
        _ => return None,
    })
}

static X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
static X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
static X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
static TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
static TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
static PRIORITY: HeaderName = HeaderName::from_static("priority");
static SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
static SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
static SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
static SEC_FETCH_USER: HeaderName = HeaderName::from_static("sec-fetch-user");
static SEC_CH_UA: HeaderName = HeaderName::from_static("sec-ch-ua");
static SEC_CH_UA_MOBILE: HeaderName = HeaderName::from_static("sec-ch-ua-mobile");
static SEC_CH_UA_PLATFORM: HeaderName = HeaderName::from_static("sec-ch-ua-platform");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_usual_name_is_the_same_name() {
        let source = include_str!("names.rs");
        let spellings =
            source.split("b\"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(spelling, _)| spelling);
        let mut known = 0;
        for spelling in spellings.filter(|spelling| usual(spelling.as_bytes()).is_some()) {
            assert_eq!(usual(spelling.as_bytes()), HeaderName::from_bytes(spelling.as_bytes()).ok());
            known += 1;
        }
        assert!(known > 90, "{known}");
        assert_eq!(usual(b"aCCept"), None);
        assert_eq!(usual(b"x-client-version"), None);
    }
}
