//! Routes of API shape, and requests for them: the same for every contender.
use http::Method;
use tollgate::router::{HostName, NoVariables, Query, Rule};

/// Hundred paths as a forge has them. `{}` is a segment that is captured, `{*}` is all that follows. A third is static.
const SHAPES: [&str; 100] = [
    "/user",
    "/user/emails",
    "/user/keys",
    "/user/repos",
    "/user/orgs",
    "/user/issues",
    "/user/starred",
    "/user/followers",
    "/user/following",
    "/user/subscriptions",
    "/events",
    "/feeds",
    "/gists",
    "/gists/public",
    "/gists/starred",
    "/issues",
    "/emojis",
    "/gitignore/templates",
    "/markdown",
    "/markdown/raw",
    "/meta",
    "/rate_limit",
    "/search/repositories",
    "/search/code",
    "/search/issues",
    "/search/users",
    "/search/commits",
    "/notifications",
    "/licenses",
    "/codes_of_conduct",
    "/applications/grants",
    "/organizations",
    "/repositories",
    "/users/{}",
    "/users/{}/repos",
    "/users/{}/orgs",
    "/users/{}/gists",
    "/users/{}/followers",
    "/users/{}/following",
    "/users/{}/following/{}",
    "/users/{}/keys",
    "/users/{}/events",
    "/users/{}/events/public",
    "/users/{}/events/orgs/{}",
    "/users/{}/received_events",
    "/users/{}/starred",
    "/users/{}/subscriptions",
    "/orgs/{}",
    "/orgs/{}/members",
    "/orgs/{}/members/{}",
    "/orgs/{}/repos",
    "/orgs/{}/teams",
    "/orgs/{}/events",
    "/orgs/{}/issues",
    "/orgs/{}/hooks",
    "/orgs/{}/hooks/{}",
    "/orgs/{}/hooks/{}/pings",
    "/teams/{}",
    "/teams/{}/members",
    "/teams/{}/members/{}",
    "/teams/{}/repos",
    "/teams/{}/repos/{}/{}",
    "/gists/{}",
    "/gists/{}/comments",
    "/gists/{}/comments/{}",
    "/gists/{}/star",
    "/gists/{}/forks",
    "/gists/{}/commits",
    "/repos/{}/{}",
    "/repos/{}/{}/branches",
    "/repos/{}/{}/branches/{}",
    "/repos/{}/{}/tags",
    "/repos/{}/{}/languages",
    "/repos/{}/{}/contributors",
    "/repos/{}/{}/commits",
    "/repos/{}/{}/commits/{}",
    "/repos/{}/{}/commits/{}/comments",
    "/repos/{}/{}/commits/{}/status",
    "/repos/{}/{}/comments/{}",
    "/repos/{}/{}/issues",
    "/repos/{}/{}/issues/{}",
    "/repos/{}/{}/issues/{}/comments",
    "/repos/{}/{}/issues/{}/labels",
    "/repos/{}/{}/issues/{}/labels/{}",
    "/repos/{}/{}/pulls",
    "/repos/{}/{}/pulls/{}",
    "/repos/{}/{}/pulls/{}/files",
    "/repos/{}/{}/pulls/{}/merge",
    "/repos/{}/{}/pulls/{}/comments",
    "/repos/{}/{}/git/blobs/{}",
    "/repos/{}/{}/git/trees/{}",
    "/repos/{}/{}/git/refs",
    "/repos/{}/{}/git/tags/{}",
    "/repos/{}/{}/releases",
    "/repos/{}/{}/releases/{}",
    "/repos/{}/{}/releases/{}/assets",
    "/repos/{}/{}/hooks",
    "/repos/{}/{}/hooks/{}",
    "/repos/{}/{}/contents/{*}",
    "/repos/{}/{}/stats/punch_card",
];

const SERVICES: [&str; 16] = [
    "billing",
    "catalog",
    "identity",
    "search",
    "orders",
    "inventory",
    "shipping",
    "profile",
    "media",
    "audit",
    "payments",
    "gateway",
    "reports",
    "events",
    "mail",
    "ledger",
];

/// One route.
pub struct Sample {
    pub host: String,
    /// The path, with `{}` and `{*}`.
    shape: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Kind {
    Static,
    Parameters,
    /// Captures, and all that follows at the end.
    Rest,
}

/// The first `count` of an endless list: services of hundred routes each, dealt out to `hosts` hosts in turn. So the
/// first thousand routes are the same whatever `count` is.
pub fn routes(count: usize, hosts: usize) -> Vec<Sample> {
    let service = |number: usize| {
        let name = SERVICES[number % SERVICES.len()];
        let prefix = format!("/{name}-{}/v{}", number / SERVICES.len(), 1 + number % 3);
        let host = format!("api-{}.example.com", number % hosts);
        SHAPES.iter().map(move |shape| Sample {
            host: host.clone(),
            shape: format!("{prefix}{shape}"),
            kind: match shape {
                shape if shape.contains("{*}") => Kind::Rest,
                shape if shape.contains("{}") => Kind::Parameters,
                _ => Kind::Static,
            },
        })
    };
    (0..).flat_map(service).take(count).collect()
}

impl Sample {
    pub fn pattern(&self) -> String {
        self.written(|at| format!(":p{at}"), "*rest")
    }

    pub fn matchit_pattern(&self) -> String {
        self.written(|at| format!("{{p{at}}}"), "{*rest}")
    }

    pub fn rule(&self, number: usize) -> Rule<usize> {
        let hosts = vec![self.host.as_str().into()];
        Rule { order: number as u64, hosts, ..Rule::new(format!("route-{number}"), self.pattern(), number) }
    }

    /// A path that the route takes.
    fn path(&self, random: &mut Random) -> String {
        let names = ["octo", "hello-world", "acme", "x"];
        let rest = format!("src/lib/{}/mod.rs", random.below(1000));
        self.written(|_| format!("{}{}", names[random.below(4)], random.below(100_000)), &rest)
    }

    fn written(&self, mut segment: impl FnMut(usize) -> String, rest: &str) -> String {
        let mut captures = 0;
        let pieces = self.shape.split('/').map(|piece| match piece {
            "{}" => {
                captures += 1;
                segment(captures - 1)
            }
            "{*}" => rest.to_owned(),
            piece => piece.to_owned(),
        });
        pieces.collect::<Vec<_>>().join("/")
    }
}

/// A request, parsed as it is when the gateway looks for its route.
pub struct Request {
    pub authority: String,
    pub host: HostName<'static>,
    pub path: String,
}

impl Request {
    pub fn new(authority: &str, path: String) -> Self {
        let host = HostName::parse(authority).unwrap().into_owned();
        Self { authority: authority.to_owned(), host, path }
    }

    pub fn query(&self) -> Query<'_> {
        Query {
            method: &Method::GET,
            host: Some(&self.host),
            path: self.path.as_bytes(),
            client: None,
            vars: &NoVariables,
        }
    }
}

/// What requests ask for.
#[derive(Clone, Copy, PartialEq)]
pub enum Ask {
    Static,
    Parameters,
    /// Segments behind a path that exists.
    DeepMiss,
    /// A first segment that does not exist, and no route goes on with its first byte.
    EarlyMiss,
    /// A first segment that does not exist, with a first byte that routes go on with.
    NearMiss,
}

/// `count` requests for routes drawn from `routes`.
pub fn requests(routes: &[Sample], ask: Ask, count: usize) -> Vec<Request> {
    let kind = if ask == Ask::Static { Kind::Static } else { Kind::Parameters };
    let routes: Vec<_> = routes.iter().filter(|route| route.kind == kind).collect();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let request = |_| {
        let route = routes[random.below(routes.len())];
        let path = route.path(&mut random);
        let path = match ask {
            Ask::Static | Ask::Parameters => path,
            Ask::DeepMiss => format!("{path}/nope/zz/yy"),
            Ask::EarlyMiss => format!("/zz{path}"),
            Ask::NearMiss => format!("{}zz{path}", &path[..2]),
        };
        Request::new(&route.host, path)
    };
    (0..count).map(request).collect()
}

/// xorshift64*: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) % bound as u64) as usize
    }
}
