//! Who has which role. Casbin's own manager keeps the roles of all definitions in one graph, so that a role of users may come to
//! be one of things; it searches the graph anew for each policy; and for a name that is not in it, which anybody can have, it
//! looks at all that are.
use std::collections::HashMap;

/// Most links between a name and a role of it, as in Casbin.
const FARTHEST: usize = 10;
/// Most pairs of a name and one of its roles, also those that it has by another one; each takes four bytes.
const MOST: usize = 1_000_000;

/// The lines of one role definition.
#[derive(Debug, Default)]
pub(super) struct Links(HashMap<String, Names>);

/// The names of a domain by number, and what each is linked to.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<String, u32>,
    links: Vec<Vec<u32>>,
}

/// The roles of one definition, domain by domain: of each name by its number, all of them, in order.
#[derive(Debug, Default)]
pub(super) struct Roles(HashMap<String, Names>);

impl Links {
    /// Whoever is `name` has the role `role`. The domain is empty where a definition has none.
    pub(super) fn add(&mut self, name: &str, role: &str, domain: &str) {
        let names = self.0.entry(domain.to_owned()).or_default();
        let (name, role) = (names.number(name), names.number(role));
        if let Some(links) = usize::try_from(name).ok().and_then(|name| names.links.get_mut(name)) {
            links.push(role);
        }
    }

    /// With the roles that names have by their roles.
    ///
    /// # Errors
    /// When they are too many.
    pub(super) fn follow(self) -> Result<Roles, String> {
        let mut pairs = 0;
        let mut domains = HashMap::with_capacity(self.0.len());
        for (domain, names) in self.0 {
            let mut all = Vec::with_capacity(names.links.len());
            for name in 0..names.links.len() {
                let roles = names.roles(name);
                pairs += roles.len();
                if pairs > MOST {
                    return Err(format!("gives more than {MOST} roles, with those that names have by other roles"));
                }
                all.push(roles);
            }
            domains.insert(domain, Names { numbers: names.numbers, links: all });
        }
        Ok(Roles(domains))
    }
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.links.len()).unwrap_or(u32::MAX);
        self.numbers.insert(name.to_owned(), number);
        self.links.push(Vec::new());
        number
    }

    fn linked(&self, name: u32) -> &[u32] {
        usize::try_from(name).ok().and_then(|name| self.links.get(name)).map_or(&[], Vec::as_slice)
    }

    /// What is no more than [`FARTHEST`] links away, in order.
    fn roles(&self, name: usize) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        let mut last: Vec<u32> = u32::try_from(name).into_iter().collect();
        for _ in 0..FARTHEST {
            let mut next: Vec<u32> = last.iter().flat_map(|name| self.linked(*name)).copied().collect();
            next.sort_unstable();
            next.dedup();
            next.retain(|role| found.binary_search(role).is_err());
            if next.is_empty() {
                break;
            }
            found.extend(&next);
            found.sort_unstable();
            last = next;
        }
        found
    }
}

impl Roles {
    /// Whether `name` has a role, in a domain; everybody is what he is called.
    pub(super) fn has(&self, name: &str, role: &str, domain: &str) -> bool {
        if name == role {
            return true;
        }
        let Some(names) = self.0.get(domain) else { return false };
        match (names.numbers.get(name), names.numbers.get(role)) {
            (Some(name), Some(role)) => names.linked(*name).binary_search(role).is_ok(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use casbin::{DefaultRoleManager, RoleManager as _};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn roles_have_roles_up_to_ten_links_away() {
        let mut links = Links::default();
        for at in 0..20 {
            links.add(&format!("n{at}"), &format!("n{}", at + 1), "");
        }
        links.add("n20", "n0", "");
        let roles = links.follow().unwrap();
        for (name, role, has) in [
            ("n0", "n1", true),
            ("n0", "n10", true),
            ("n0", "n11", false),
            ("n5", "n4", false),
            ("n20", "n0", true),
            ("n15", "n3", true),
            ("stranger", "n1", false),
            ("n1", "nothing", false),
            ("stranger", "stranger", true),
        ] {
            assert_eq!(roles.has(name, role, ""), has, "{name} {role}");
        }
        assert!(!roles.has("n0", "n1", "elsewhere"));
    }

    #[test]
    fn too_many_roles_are_refused() {
        let mut links = Links::default();
        for at in 0..2000 {
            links.add(&format!("user-{at}"), "all", "");
            links.add("all", &format!("role-{at}"), "");
        }
        assert!(links.follow().unwrap_err().contains("more than 1000000 roles"));
    }

    proptest! {
        /// Few enough names that Casbin's own bound of links, which counts in another way, plays no part.
        #[test]
        fn roles_are_casbins(lines in proptest::collection::vec(("[a-e]", "[a-e]", "[xy]"), 0..12)) {
            let mut links = Links::default();
            let mut theirs = DefaultRoleManager::new(10);
            for (name, role, domain) in &lines {
                links.add(name, role, domain);
                theirs.add_link(name, role, Some(domain));
            }
            let roles = links.follow().unwrap();
            for name in ["a", "b", "c", "d", "e", "f"] {
                for role in ["a", "b", "c", "d", "e", "f"] {
                    for domain in ["x", "y", "z"] {
                        let wanted = theirs.has_link(name, role, Some(domain));
                        prop_assert_eq!(roles.has(name, role, domain), wanted, "{} {} {}", name, role, domain);
                    }
                }
            }
        }
    }
}
