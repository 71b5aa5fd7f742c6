//! To the provider and back.
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::answer::{failed, html_redirect, redirect};
use super::attempt::Attempt;
use super::cookies;
use super::layer::OpenidConnect;
use super::plugin::NAME;
use super::provider::{Metadata, ProviderError};
use super::seal::random_text;
use super::session::Session;
use super::sessions::Sessions;
use super::settings::Place;
use super::tokens::LoginError;
use super::{SameSite, log};
use crate::Response;
use crate::error::reject;
use crate::plugins::browser::{cookies::find, remembered, unix_now};

/// How often a log-in is begun anew when the provider's answer does not belong to it.
const MAX_RESTARTS: u8 = 3;

/// What the count of restarts is sealed for.
const RESTARTS: &str = "restarts";

impl OpenidConnect {
    /// Sends the browser to the provider. `silent`: only to ask whether the user is still logged in there.
    pub(super) async fn begin(
        &self,
        sessions: &Sessions,
        headers: &HeaderMap,
        place: &Place,
        silent: bool,
    ) -> Response {
        let metadata = match self.provider.metadata().await {
            Ok(metadata) => metadata,
            Err(error) => {
                log::warn("nobody can log in", &error);
                return reject(StatusCode::SERVICE_UNAVAILABLE, NAME, "The identity provider is unavailable");
            }
        };
        match self.to_provider(sessions, &metadata, headers, place, silent).await {
            Ok(response) => response,
            Err(error) => {
                log::warn("nobody can log in", &error);
                failed(Vec::new())
            }
        }
    }

    async fn to_provider(
        &self,
        sessions: &Sessions,
        metadata: &Metadata,
        headers: &HeaderMap,
        place: &Place,
        silent: bool,
    ) -> Result<Response, LoginError> {
        let login = &self.settings.login;
        let endpoint = metadata.authorization_endpoint.as_ref().ok_or(ProviderError::None("authorization_endpoint"))?;
        let attempt = Attempt {
            state: random_text::<16>()?,
            target: remembered(&place.target()).to_owned(),
            nonce: if login.nonce { Some(random_text::<16>()?) } else { None },
            verifier: if login.pkce.unwrap_or(metadata.takes_pkce) { Some(random_text::<32>()?) } else { None },
            began: unix_now(),
            silent,
        };
        let landing = login.landing.uri(place);
        let challenge = attempt.verifier.as_deref().map(challenge_of);
        let mut params = vec![
            ("response_type", "code"),
            ("client_id", &self.provider.client.id),
            ("redirect_uri", &landing),
            ("scope", &login.scope),
            ("state", &attempt.state),
        ];
        params.extend(attempt.nonce.as_deref().map(|nonce| ("nonce", nonce)));
        if let Some(challenge) = &challenge {
            params.extend([("code_challenge", challenge.as_str()), ("code_challenge_method", "S256")]);
        }
        params.extend(
            login
                .params
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(name, _)| !silent || *name != "prompt"),
        );
        if silent {
            params.push(("prompt", "none"));
        }
        let pushed;
        if let Some((own, method)) = &login.par {
            let own = own.as_ref().or(metadata.par_endpoint.as_ref());
            let own = own.ok_or(ProviderError::None("pushed_authorization_request_endpoint"))?;
            pushed = self.provider.post::<Pushed>(*method, own, &params, HeaderMap::new()).await?;
            params = vec![("client_id", &self.provider.client.id), ("request_uri", &pushed.request_uri)];
        }
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(params).finish();
        let joint = if endpoint.query().is_some() { '&' } else { '?' };
        let session = &sessions.settings.cookie;
        let sealed = sessions.seal.seal(Attempt::PURPOSE, &attempt)?;
        let mut set = Vec::new();
        for (name, _) in Attempt::all(headers, &session.name, &sessions.seal).into_iter().skip(Attempt::MAX - 1) {
            set.push(cookies::end(session, &name));
        }
        // `Lax` whatever the session has: the answer is a navigation that comes from the provider's site
        set.push(cookies::set(session, &Attempt::cookie(&session.name, &attempt.state), &sealed, SameSite::Lax));
        Ok(redirect(&format!("{endpoint}{joint}{query}"), set))
    }

    /// The provider's answer to a log-in, brought by the browser.
    pub(super) async fn land(&self, sessions: &Sessions, headers: &HeaderMap, place: &Place) -> Response {
        let answer = Answer::read(place.query.as_deref().unwrap_or_default());
        let name = &sessions.settings.cookie.name;
        let attempts = Attempt::all(headers, name, &sessions.seal);
        let now = unix_now();
        let state = answer.state.as_deref().unwrap_or_default();
        let mut opened = attempts.iter().filter_map(|(name, attempt)| Some((name, attempt.as_ref()?)));
        let Some((cookie, attempt)) = opened.clone().find(|(_, attempt)| attempt.is_answered_by(state, now)) else {
            // the browser's latest attempt tells where it wanted to go
            let latest = opened.next().map(|(name, attempt)| (name.as_str(), attempt.target.as_str()));
            return self.restart(sessions, headers, latest).await;
        };
        let ended = cookies::end(&sessions.settings.cookie, cookie);
        match answer.error.as_deref() {
            Some("temporarily_unavailable") => {
                return self.restart(sessions, headers, Some((cookie, &attempt.target))).await;
            }
            // not logged in there any more: the session ends, and the way leads to the log-in page
            Some("login_required" | "interaction_required" | "consent_required" | "account_selection_required")
                if attempt.silent =>
            {
                let mut set = vec![ended];
                let open = sessions.read(headers).await.ok().flatten();
                if let Err(error) = sessions.end(open.as_ref(), headers, &mut set).await {
                    log::warn("a session was not ended", &error);
                    return failed(set);
                }
                return redirect(&attempt.target, set);
            }
            _ => {}
        }
        let mut set = vec![ended];
        match self.log_in(sessions, headers, place, &answer, attempt, &mut set).await {
            Ok(()) => {
                if find(headers, &restarts_cookie(name)).is_some() {
                    set.push(cookies::end(&sessions.settings.cookie, &restarts_cookie(name)));
                }
                match sessions.settings.cookie.same_site {
                    // a redirect would still count as coming from the provider's site, without the cookie
                    SameSite::Strict => html_redirect(&attempt.target, set),
                    _ => redirect(&attempt.target, set),
                }
            }
            Err(error) => {
                log::warn("a log-in failed", &error);
                failed(vec![cookies::end(&sessions.settings.cookie, cookie)])
            }
        }
    }

    /// Exchanges the code for tokens and makes the session of them.
    async fn log_in(
        &self,
        sessions: &Sessions,
        headers: &HeaderMap,
        place: &Place,
        answer: &Answer,
        attempt: &Attempt,
        set: &mut Vec<String>,
    ) -> Result<(), LoginError> {
        if let Some(error) = &answer.error {
            return Err(LoginError::Refused(error.chars().take(64).collect()));
        }
        let metadata = self.provider.metadata().await?;
        match &answer.issuer {
            Some(issuer) if *issuer != metadata.issuer => return Err(LoginError::Answer("it is of another issuer")),
            None if metadata.names_itself => return Err(LoginError::Answer("it names no issuer")),
            _ => {}
        }
        let code = answer.code.as_deref().ok_or(LoginError::Answer("it has no code"))?;
        let landing = self.settings.login.landing.uri(place);
        let mut form = vec![("grant_type", "authorization_code"), ("code", code), ("redirect_uri", &landing)];
        form.extend(attempt.verifier.as_deref().map(|verifier| ("code_verifier", verifier)));
        let tokens = self.tokens(&metadata, &form).await?;
        let id_token = tokens.id_token.clone().ok_or(LoginError::NoIdToken)?;
        let claims = self.id_token(&id_token, &metadata, attempt.nonce.as_deref()).await?;
        let now = unix_now();
        let user = self.userinfo(&metadata, &tokens.access_token, &claims).await?;
        let mut session = Session {
            created: now,
            renewed: now,
            used: now,
            asked: now,
            id_token,
            access_token: String::new(),
            expires: 0,
            refresh_token: None,
            scope: None,
            user,
        };
        self.put_tokens(&mut session, tokens);
        Ok(sessions.begin(&session, headers, set).await?)
    }

    /// Begins a log-in anew at the page that the user wanted, a few times; then something is wrong that time does not mend.
    async fn restart(&self, sessions: &Sessions, headers: &HeaderMap, attempt: Option<(&str, &str)>) -> Response {
        let cookie = &sessions.settings.cookie;
        let counter = restarts_cookie(&cookie.name);
        let Some((used, target)) = attempt else {
            // without a cookie of ours there is no telling where to go, nor how often that was tried: a page that was kept or
            // reloaded after the log-in, or a browser that keeps no cookies
            return match sessions.read(headers).await {
                Ok(Some(_)) => redirect("/", Vec::new()),
                _ => failed(Vec::new()),
            };
        };
        let sealed = find(headers, &counter);
        let count = sealed.and_then(|sealed| sessions.seal.open::<u8>(RESTARTS, sealed)).unwrap_or(0);
        let mut set = vec![cookies::end(cookie, used)];
        if count >= MAX_RESTARTS {
            set.push(cookies::end(cookie, &counter));
            return failed(set);
        }
        let Ok(sealed) = sessions.seal.seal(RESTARTS, &(count + 1)) else { return failed(set) };
        set.push(cookies::set(cookie, &counter, &sealed, SameSite::Lax));
        redirect(target, set)
    }
}

/// An answer to a pushed request (RFC 9126 §2.2).
#[derive(Deserialize)]
struct Pushed {
    request_uri: String,
}

/// The provider's answer, as the browser's query has it (RFC 6749 §4.1.2; RFC 9207).
#[derive(Debug, Default)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    issuer: Option<String>,
}

impl Answer {
    fn read(query: &str) -> Self {
        let mut answer = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let place = match &*name {
                "state" => &mut answer.state,
                "code" => &mut answer.code,
                "error" => &mut answer.error,
                "iss" => &mut answer.issuer,
                _ => continue,
            };
            // none may be there twice (RFC 6749 §3.1): then it is no answer of the provider
            if place.replace(value.into_owned()).is_some() {
                return Self::default();
            }
        }
        answer
    }
}

fn restarts_cookie(session: &str) -> String {
    format!("{session}_restarts")
}

/// PKCE's challenge (RFC 7636 §4.2).
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        // RFC 7636, appendix B
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        assert_eq!(challenge_of(verifier), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }

    #[test]
    fn an_answer_that_says_something_twice_is_none() {
        let answer = Answer::read("code=a&state=b%20c&x=1&x=2");
        assert_eq!((answer.code.as_deref(), answer.state.as_deref()), (Some("a"), Some("b c")));
        assert!(Answer::read("code=a&state=b&code=c").state.is_none());
    }
}
