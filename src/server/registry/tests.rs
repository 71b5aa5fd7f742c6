//! What several threads do at the same moment.
use std::sync::atomic::AtomicUsize;

use tokio::net::UnixStream;

use super::*;
use crate::net::Transport;

fn registry() -> Arc<Registry> {
    Registry::new(Options::default())
}

fn io(registry: &Registry) -> Arc<Io> {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    Io::new(Transport::Unix(ours), &registry.sweep)
}

#[tokio::test]
async fn one_that_settles_counts_once_at_every_moment() {
    let registry = registry();
    let (group, io) = (registry.group(), io(&registry));
    let done = AtomicBool::new(false);
    let most = std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Relaxed) {
                most = most.max(registry.count()).max(group.open());
            }
            most
        });
        for _ in 0..20_000 {
            let arrival = Group::arrive(Seat::free(&group));
            drop(arrival.settle(Arc::clone(&io)));
        }
        done.store(true, Relaxed);
        watching.join().unwrap()
    });
    assert_eq!((most, registry.count(), group.open()), (1, 0, 0));
}

#[tokio::test]
async fn a_drain_and_a_connection_that_becomes_idle_see_one_another() {
    const ROUNDS: usize = 20_000;
    let registry = registry();
    let io = io(&registry);
    let rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let group = Arc::new(Group::new(&registry));
            let entry = Group::enter(Arc::clone(&io), Seat::free(&group));
            (group, Arc::clone(entry.client()))
        })
        .collect();
    // Both begin each round together.
    let arrived = [AtomicUsize::new(0), AtomicUsize::new(0)];
    let meet = |own: usize, round: usize| {
        arrived[own].store(round + 1, SeqCst);
        let mut turns = 0_u32;
        while arrived[1 - own].load(SeqCst) <= round {
            turns += 1;
            if turns.is_multiple_of(1_000) { std::thread::yield_now() } else { std::hint::spin_loop() }
        }
    };
    let (answering, draining) = std::thread::scope(|scope| {
        let answering = scope.spawn(|| {
            let each = |(round, (_, client)): (usize, &(Arc<Group>, Arc<Client>))| {
                meet(0, round);
                client.set_idle();
                client.is_draining()
            };
            rounds.iter().enumerate().map(each).collect::<Vec<_>>()
        });
        let draining = rounds.iter().enumerate().map(|(round, (group, client))| {
            meet(1, round);
            group.begin_drain();
            client.idle_since.load(SeqCst) > 0
        });
        let draining: Vec<_> = draining.collect();
        (answering.join().unwrap(), draining)
    });
    let missed = answering.iter().zip(&draining).filter(|(one, other)| !**one && !**other).count();
    assert_eq!(missed, 0, "of {ROUNDS}: such a connection would stay until it is idle for too long");
}

#[tokio::test]
async fn a_connection_that_tells_its_task_when_the_server_is_gone_already_ends() {
    let registry = registry();
    let group = registry.group();
    let arrival = Group::arrive(Seat::free(&group));
    let entry = Group::enter(io(&registry), Seat::free(&group));
    let ended_by = arrival.ended_by();
    registry.leave();
    let tasks = [tokio::spawn(std::future::pending::<()>()), tokio::spawn(std::future::pending())];
    ended_by(tasks[0].abort_handle());
    entry.client().set_task(tasks[1].abort_handle());
    for task in tasks {
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
