//! Runs of many requests.

use std::collections::BTreeSet;

use super::*;

fn jobs(count: usize) -> Vec<ChatRequest> {
    (0..count).map(|number| ask(&format!("question {number}"))).collect()
}

#[tokio::test]
async fn every_job_is_asked_once_and_reported_once_within_the_limit() {
    let server = TestServer::start(|received| delayed(millis(10), answer(&received.last_text()))).unwrap();
    let limiter = LimiterOptions { start: 4, min: 1, max: 4 };
    let client = client(&server, ClientOptions { limiter, ..hasty() });
    let mut seen = BTreeSet::new();
    let summary = run_all(&client, jobs(40), &Cancel::new(), |finished| {
        let expected = format!("question {}", finished.index);
        assert_eq!(text(&finished.reply.outcome), Some(expected.as_str()));
        assert!(seen.insert(finished.index));
    })
    .await;
    assert_eq!((summary.finished, seen.len(), server.received().len()), (40, 40, 40));
    assert_eq!(summary.outcomes[&OutcomeKind::Answered], 40);
    assert_eq!(summary.stopped_by, None);
    assert!((2..=4).contains(&server.most_at_once()), "{}", server.most_at_once());
}

#[tokio::test]
async fn a_throttling_server_gets_fewer_requests_at_once_and_every_job_an_answer() {
    // Says "too many" to whatever exceeds what it takes at once.
    let at_once = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let server = TestServer::start(move |received| {
        let number = at_once.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        if number % 5 == 4 { Behaviour::TooMany { retry_after: None } } else { answer(&received.last_text()) }
    })
    .unwrap();
    let limiter = LimiterOptions { start: 16, min: 1, max: 16 };
    let client = client(&server, ClientOptions { limiter, ..hasty() });
    let summary = run_all(&client, jobs(60), &Cancel::new(), |_| {}).await;
    assert_eq!(summary.outcomes.get(&OutcomeKind::Answered), Some(&60));
    assert!(client.limit() < 16, "{}", client.limit());
}

#[tokio::test]
async fn a_cancelled_run_finishes_what_it_began_and_a_later_one_asks_only_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cache.jsonl");
    let server = TestServer::start(|received| delayed(millis(20), answer(&received.last_text()))).unwrap();
    let (cancel, mut reported) = (Cancel::new(), 0);
    let first = cached(&server, &path, CacheMode::Use);
    let summary = run_all(&first, jobs(50), &cancel, |_| {
        reported += 1;
        if reported == 10 {
            cancel.cancel();
        }
    })
    .await;
    drop(first);
    assert_eq!(summary.stopped_by, Some(OutcomeKind::Cancelled));
    assert!((10..50).contains(&summary.finished));
    assert_eq!((reported, server.received().len()), (summary.finished, summary.finished));
    let second = cached(&server, &path, CacheMode::Use);
    let rest = run_all(&second, jobs(50), &Cancel::new(), |_| {}).await;
    assert_eq!((rest.finished, rest.cached, server.received().len()), (50, summary.finished, 50));
}

#[tokio::test]
async fn a_cancelled_run_does_not_wait_for_retries() {
    let server = TestServer::playing(vec![Behaviour::TooMany { retry_after: Some("60".into()) }]).unwrap();
    let client = client(&server, hasty());
    let (cancel, begun) = (Cancel::new(), Instant::now());
    let stop = async {
        tokio::time::sleep(millis(100)).await;
        cancel.cancel();
    };
    let (summary, ()) = tokio::join!(run_all(&client, jobs(3), &cancel, |_| {}), stop);
    assert_eq!((summary.finished, summary.stopped_by), (0, Some(OutcomeKind::Cancelled)));
    assert!(begun.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_refused_key_ends_the_run() {
    let server = TestServer::playing(vec![error(401, "invalid_api_key")]).unwrap();
    let limiter = LimiterOptions { start: 2, min: 1, max: 2 };
    let client = client(&server, ClientOptions { limiter, ..hasty() });
    let summary = run_all(&client, jobs(100), &Cancel::new(), |_| {}).await;
    assert_eq!(summary.stopped_by, Some(OutcomeKind::Unauthorised));
    assert!(server.received().len() <= 3, "{}", server.received().len());
}

#[tokio::test]
async fn a_server_that_died_ends_the_run() {
    let server = TestServer::playing(vec![Behaviour::Drop]).unwrap();
    let breaker = BreakerOptions { failures: 4, open_for: millis(30) };
    let client = client(&server, ClientOptions { breaker, ..hasty() });
    let summary = run_all(&client, jobs(1_000), &Cancel::new(), |_| {}).await;
    assert!(summary.stopped_by == Some(OutcomeKind::CircuitOpen), "{summary:?}");
    assert!(summary.finished < 100, "{summary:?}");
}

#[tokio::test]
async fn a_budget_shared_by_many_is_not_exceeded_and_not_left_unused() {
    let server = TestServer::start(|received| delayed(millis(5), answer(&received.last_text()))).unwrap();
    // Each uses 15 tokens and reserves many more.
    let limits = Limits { tokens: Some(400), money: None };
    let budget = Budget::new(limits, Price::default());
    let client = client(&server, ClientOptions { budget, assumed_output: 200, ..hasty() });
    let summary = run_all(&client, jobs(100), &Cancel::new(), |_| {}).await;
    assert_eq!(summary.finished, 100);
    let spent = client.spent().tokens.total();
    assert!((165..=400).contains(&spent), "{spent}");
    assert_eq!(server.received().len() as u64, spent / 15);
}

#[tokio::test]
async fn a_run_of_nothing_ends() {
    let server = TestServer::playing(vec![]).unwrap();
    let summary = run_all(&client(&server, hasty()), jobs(0), &Cancel::new(), |_| {}).await;
    assert_eq!(summary.finished, 0);
}
