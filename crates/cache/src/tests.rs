use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use super::*;

const LASTS: Duration = Duration::from_millis(900);

fn cache() -> Cache<&'static str, u32> {
    Cache::new(10, LASTS)
}

async fn keep(cache: &Cache<&'static str, u32>, it: u32) -> u32 {
    let Ok(known) = cache.get_or("key", async { Ok::<_, Infallible>(it) }).await;
    **known
}

#[tokio::test(start_paused = true)]
async fn what_is_known_is_used_until_its_time() {
    let cache = cache();
    assert_eq!(keep(&cache, 1).await, 1);
    tokio::time::advance(Duration::from_millis(899)).await;
    assert_eq!(keep(&cache, 2).await, 1);
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(keep(&cache, 3).await, 3);
}

#[tokio::test(start_paused = true)]
async fn its_time_counts_from_before_the_read() {
    let cache = cache();
    let slow = async {
        tokio::time::sleep(LASTS).await;
        Ok::<_, Infallible>(1)
    };
    assert!(cache.get_or("key", slow).await.is_ok());
    assert!(cache.get(&"key").is_none());
}

#[tokio::test(start_paused = true)]
async fn of_many_one_reads() {
    let (cache, reads) = (cache(), AtomicUsize::new(0));
    let ask = || {
        cache.get_or("key", async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok::<_, Infallible>(u32::try_from(reads.fetch_add(1, Ordering::Relaxed)).unwrap_or(u32::MAX))
        })
    };
    let (a, b, c) = tokio::join!(ask(), ask(), ask());
    assert!([a, b, c].iter().all(|it| it.as_ref().is_ok_and(|it| ***it == 0)));
    assert_eq!(reads.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn who_fails_leaves_the_next_to_read() {
    let cache = cache();
    let fails = cache.get_or("key", async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        Err::<u32, _>("away")
    });
    let (first, second) = tokio::join!(fails, cache.get_or("key", async { Ok::<_, &str>(2) }));
    assert_eq!(first.err(), Some("away"));
    assert!(second.is_ok_and(|it| **it == 2));
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_it_was_read_is_read_again() {
    let cache = cache();
    let read = cache.get_or("key", async {
        cache.forget(&"key");
        Ok::<_, Infallible>(1)
    });
    assert!(read.await.is_ok());
    assert!(cache.get(&"key").is_none(), "read before the change, kept after it");
    assert_eq!(keep(&cache, 2).await, 2);
    cache.forget_all();
    assert!(cache.get(&"key").is_none());
}

#[tokio::test]
async fn a_line_goes_with_the_last_who_stood_in_it() {
    let (turns, within) = (Turns::default(), AtomicUsize::new(0));
    let ask = |key: u32| {
        let turn = turns.of(key);
        async {
            let _begun = turn.begin().await;
            assert_eq!(within.fetch_add(1, Ordering::Relaxed), 0, "one by one");
            tokio::task::yield_now().await;
            within.fetch_sub(1, Ordering::Relaxed);
        }
    };
    tokio::join!(ask(1), ask(1), ask(1));
    assert_eq!(turns.lines(), 0);
    drop((turns.of(1), turns.of(2)));
    assert_eq!(turns.lines(), 0, "whoever went away before it was his turn leaves none");
}
