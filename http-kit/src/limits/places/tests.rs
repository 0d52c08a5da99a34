use super::*;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

fn party(name: &str) -> Party {
    Party::Subject(name.into())
}

fn places(places: usize, per_party: usize, waiting: usize, waiting_per_party: usize) -> Places {
    Places::new(PlaceSizes { places, places_per_party: per_party, waiting, waiting_per_party })
}

fn take(places: &Places, name: &str) -> Place {
    places.try_enter(&party(name)).unwrap()
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[tokio::test]
async fn a_noisy_tenant_does_not_starve_a_quiet_one() {
    let places = places(4, 4, 1000, 1000);
    let (noisy, quiet) = (party("noisy"), party("quiet"));
    let held: Vec<_> = (0..4).map(|_| take(&places, "noisy")).collect();
    // A hundred of the noisy one are in line before the quiet one comes.
    let (order, mut served) = tokio::sync::mpsc::unbounded_channel();
    let enter = |who: Party| {
        let (places, order) = (places.clone(), order.clone());
        tokio::spawn(async move {
            let place = places.enter(&who).await.unwrap();
            order.send(who).unwrap();
            drop(place);
        })
    };
    let mut tasks: Vec<_> = (0..100).map(|_| enter(noisy.clone())).collect();
    while places.waiting() < 100 {
        tokio::task::yield_now().await;
    }
    tasks.push(enter(quiet.clone()));
    while places.waiting() < 101 {
        tokio::task::yield_now().await;
    }
    drop(held);
    let mut first = Vec::new();
    for _ in 0..6 {
        first.push(served.recv().await.unwrap());
    }
    assert!(first.contains(&quiet), "{first:?}");
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((places.running(), places.waiting(), places.0.state.lock().parties.len()), (0, 0, 0));
}

#[test]
fn a_party_never_has_more_than_its_share() {
    let places = places(4, 2, 10, 10);
    let _held = [take(&places, "a"), take(&places, "a")];
    assert!(places.try_enter(&party("a")).is_none());
    let a = party("a");
    let mut waits = pin!(places.enter(&a));
    assert!(poll(waits.as_mut()).is_pending());
    // The others still find their places, and one of theirs that comes free is nothing for the one who waits.
    let b = take(&places, "b");
    let _b = take(&places, "b");
    drop(b);
    assert!(poll(waits.as_mut()).is_pending());
    assert_eq!((places.running(), places.waiting()), (3, 1));
}

#[test]
fn full_lines_refuse_at_once_and_say_whose_fault_it_is() {
    let places = places(1, 1, 3, 2);
    let held = take(&places, "a");
    let (a, b) = (party("a"), party("b"));
    let (mut one, mut two) = (pin!(places.enter(&a)), pin!(places.enter(&a)));
    assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
    assert!(matches!(poll(pin!(places.enter(&a))), Poll::Ready(Err(NoPlace::PartyBusy))));
    let mut three = pin!(places.enter(&b));
    assert!(poll(three.as_mut()).is_pending(), "the other party has a line of its own");
    assert!(matches!(poll(pin!(places.enter(&b))), Poll::Ready(Err(NoPlace::Overloaded))));
    assert_eq!(places.refused(), 2);
    drop(held);
    // The first party had the place, so it is the other one's turn, and then its own again.
    assert!(poll(one.as_mut()).is_pending());
    let Poll::Ready(Ok(first)) = poll(three.as_mut()) else { panic!("it was its turn") };
    drop(first);
    assert!(matches!(poll(one.as_mut()), Poll::Ready(Ok(_))));
    let problem = Problem::from(NoPlace::Overloaded);
    assert_eq!((problem.status().as_u16(), problem.code()), (503, "overloaded"));
    let problem = Problem::from(NoPlace::PartyBusy);
    assert_eq!((problem.status().as_u16(), problem.code()), (429, "tenant_busy"));
}

#[test]
fn who_leaves_the_line_is_not_waited_for() {
    let places = places(1, 1, 10, 2);
    let held = take(&places, "a");
    let a = party("a");
    {
        let (mut one, mut two) = (pin!(places.enter(&a)), pin!(places.enter(&a)));
        assert!(poll(one.as_mut()).is_pending() && poll(two.as_mut()).is_pending());
        assert_eq!(places.waiting(), 2);
    }
    assert_eq!(places.waiting(), 0);
    let mut one = pin!(places.enter(&a));
    assert!(poll(one.as_mut()).is_pending(), "there is room in the line again");
    drop(held);
    assert!(matches!(poll(one.as_mut()), Poll::Ready(Ok(_))));
    assert_eq!(places.0.state.lock().parties.len(), 0);
}

#[test]
fn a_place_that_nobody_takes_any_more_goes_on() {
    let places = places(1, 1, 10, 10);
    let held = take(&places, "a");
    let (a, b) = (party("a"), party("b"));
    let mut second = Box::pin(places.enter(&b));
    {
        let mut first = pin!(places.enter(&a));
        assert!(poll(first.as_mut()).is_pending());
        assert!(poll(second.as_mut()).is_pending());
        drop(held);
        // The place is on its way to the first one, who goes away without looking.
    }
    assert!(matches!(poll(second.as_mut()), Poll::Ready(Ok(_))));
    drop(second);
    assert_eq!((places.running(), places.waiting()), (0, 0));
}

/// Many parties come, wait, give up and work, in an order that a seed decides: nothing is lost, no share exceeded.
#[tokio::test]
async fn nothing_is_lost_whoever_gives_up() {
    let (seed, _) = uuid::Uuid::new_v4().as_u64_pair();
    eprintln!("seed {seed}");
    let places = places(3, 2, 30, 20);
    let tasks: Vec<_> = (0..200u64)
        .map(|number| {
            let places = places.clone();
            tokio::spawn(async move {
                let mut random = seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
                for _ in 0..50 {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let who = party(["a", "b", "c"][(random % 3) as usize]);
                    let patience = std::time::Duration::from_micros(random >> 8 & 511);
                    if let Ok(Ok(_place)) = tokio::time::timeout(patience, places.enter(&who)).await {
                        {
                            let state = places.0.state.lock();
                            assert!(state.running <= 3 && state.parties[&who].running <= 2);
                        }
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let state = places.0.state.lock();
    assert_eq!((state.running, state.waiting, state.parties.len()), (0, 0, 0), "{:?}", state.turns);
}
