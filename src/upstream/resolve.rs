//! Names to addresses, asked once where many want to know.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::Shared;
use smallvec::SmallVec;
use tokio::time::Instant;

/// How long an answer is used. Long enough that a storm of connections is one look-up (each costs
/// a thread for as long as it takes), short enough for the DNS failovers of providers, whose records
/// live 30 s to 300 s.
const FRESH: Duration = Duration::from_secs(30);

/// How long an old answer stands in while no look-up succeeds.
const STALE: Duration = Duration::from_mins(10);

/// Addresses tried of one name.
const ADDRESSES: usize = 8;

/// The addresses of one host, remembered.
pub(super) struct Resolver {
    state: Mutex<State>,
    turn: AtomicUsize,
}

#[derive(Default)]
struct State {
    asked: Option<(Instant, Answer)>,
    known: Option<(Instant, Arc<[IpAddr]>)>,
}

type Answer = Shared<Pin<Box<dyn Future<Output = Result<Arc<[IpAddr]>, Arc<io::Error>>> + Send>>>;

/// Addresses in the order in which to try them.
pub(super) type Addresses = SmallVec<[SocketAddr; ADDRESSES]>;

impl Resolver {
    pub(super) fn new() -> Self {
        Self { state: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    /// The addresses of `host`.
    pub(super) async fn addresses(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Addresses, Arc<io::Error>> {
        let answer = self.ask(host, port);
        let found = match answer.clone().await {
            Ok(found) => self.learn(&answer, found),
            Err(error) => self.fall_back(&answer).ok_or(error)?,
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        Ok(in_turn(&found, turn).map(|address| SocketAddr::new(address, port)).collect())
    }

    /// The look-up under way, or the last one if it is fresh, or a new one.
    fn ask(&self, host: &str, port: u16) -> Answer {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, answer)) = state.asked.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return answer.clone();
        }
        let answer = look_up(host.to_owned(), port).boxed().shared();
        state.asked = Some((Instant::now(), answer.clone()));
        answer
    }

    fn learn(&self, answer: &Answer, found: Arc<[IpAddr]>) -> Arc<[IpAddr]> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, _)) = state.asked.as_ref().filter(|(_, asked)| asked.ptr_eq(answer)) {
            state.known = Some((*at, Arc::clone(&found)));
        }
        found
    }

    /// Forgets the failure, so that the next one asks anew.
    fn fall_back(&self, answer: &Answer) -> Option<Arc<[IpAddr]>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.asked.as_ref().is_some_and(|(_, asked)| asked.ptr_eq(answer)) {
            state.asked = None;
        }
        let (_, known) = state.known.as_ref().filter(|(at, _)| at.elapsed() < STALE)?;
        Some(Arc::clone(known))
    }
}

async fn look_up(host: String, port: u16) -> Result<Arc<[IpAddr]>, Arc<io::Error>> {
    let found = tokio::net::lookup_host((host, port)).await?;
    let found: Arc<[IpAddr]> = found.map(|address| address.ip()).collect();
    if found.is_empty() {
        return Err(Arc::new(io::Error::new(io::ErrorKind::NotFound, "no addresses")));
    }
    Ok(found)
}

/// Alternates between the families, the resolver's favourite first, and begins each with another
/// address every turn: the addresses of a headless service are pods that all want their share.
fn in_turn(found: &[IpAddr], turn: usize) -> impl Iterator<Item = IpAddr> {
    let first_is_v4 = found.first().is_some_and(IpAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) =
        found.iter().copied().partition(|address| address.is_ipv4() == first_is_v4);
    let longest = first.len().max(second.len());
    let at = move |family: &[IpAddr], step: usize| {
        let index = turn.checked_add(step)?.checked_rem(family.len())?;
        family.get(index).copied().filter(|_| step < family.len())
    };
    (0..longest)
        .flat_map(move |step| [at(&first, step), at(&second, step)])
        .flatten()
        .take(ADDRESSES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn many_ask_and_one_look_up_answers_until_it_is_stale() {
        let resolver = Resolver::new();
        let first = resolver.ask("localhost", 1);
        assert!(first.ptr_eq(&resolver.ask("localhost", 1)));
        assert!(!resolver.addresses("localhost", 1).await.unwrap().is_empty());
        assert!(first.ptr_eq(&resolver.ask("localhost", 1)));
        tokio::time::pause();
        tokio::time::advance(FRESH).await;
        assert!(!first.ptr_eq(&resolver.ask("localhost", 1)));
    }

    #[tokio::test]
    async fn a_failed_look_up_is_not_remembered_and_what_was_known_stands_in() {
        let resolver = Resolver::new();
        let known: Arc<[IpAddr]> = ["10.0.0.1".parse().unwrap()].into();
        let failed = async { Err(Arc::new(io::Error::other("no answer"))) }.boxed().shared();
        let fail = || resolver.state.lock().unwrap().asked = Some((Instant::now(), failed.clone()));
        fail();
        assert!(resolver.addresses("x", 1).await.is_err());
        assert!(resolver.state.lock().unwrap().asked.is_none());
        resolver.state.lock().unwrap().known = Some((Instant::now(), known));
        fail();
        assert_eq!(resolver.addresses("x", 1).await.unwrap()[0].to_string(), "10.0.0.1:1");
        tokio::time::pause();
        tokio::time::advance(STALE).await;
        fail();
        assert!(resolver.addresses("x", 1).await.is_err());
    }

    #[test]
    fn families_alternate_and_each_turn_begins_elsewhere() {
        let found = ["::1", "::2", "10.0.0.1"].map(|address| address.parse().unwrap());
        let order = |turn| {
            in_turn(&found, turn).map(|address| address.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(order(0), "::1 10.0.0.1 ::2");
        assert_eq!(order(1), "::2 10.0.0.1 ::1");
        assert_eq!(order(2), order(0));
    }
}
