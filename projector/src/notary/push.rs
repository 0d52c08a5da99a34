//! Checkpoints to witnesses, and their cosignatures back.
//!
//! In rounds: all witnesses are asked for the same checkpoint, the newest there is when the round begins; else each would cosign
//! another one, and none would ever have a quorum. A witness that fails is left out for a while, so that the others do not wait
//! for it.

use super::reader::TreeReader;
use super::status;
use super::status::WitnessStatus;
use crate::tail::guarded;
use eventstore::TreeSize;
use eventstore::transparency::{
    AddCheckpoint, Checkpoint, NoteSignature, Policy, Prover, SignedNote, TreeError, Witness,
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use parking_lot::Mutex;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

/// How long a witness may take to answer.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(5);
/// Longest answer that is read, bytes.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long a witness that has failed is left out, at first and at most.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

type Http = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// A checkpoint that witnesses have cosigned.
#[derive(Debug)]
pub(super) struct Cosigned {
    pub(super) note: SignedNote,
    /// Whether that is enough to publish it.
    pub(super) is_met: bool,
}

/// The thread that asks witnesses. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Push {
    offers: watch::Sender<Option<SignedNote>>,
    stop: watch::Sender<bool>,
    back: Arc<Back>,
    thread: Option<JoinHandle<()>>,
}

/// What comes back.
#[derive(Debug, Default)]
struct Back {
    cosigned: Mutex<Vec<Cosigned>>,
    news: Notify,
}

impl Push {
    /// Starts it; without witnesses that have an address there is nothing to do, and no thread.
    pub(super) fn start(data_dir: &Path, policy: &Arc<Policy>, status: &status::Shared) -> io::Result<Self> {
        let (offers, offered) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let back = Arc::new(Back::default());
        let asked: Vec<Asked> = policy.witnesses().iter().filter_map(Asked::of).collect();
        status.change(|status| {
            let name = |asked: &Asked| WitnessStatus {
                name: asked.witness.name.clone(),
                ..WitnessStatus::default()
            };
            status.witnesses = asked.iter().map(name).collect();
        });
        let mut thread = None;
        if !asked.is_empty() {
            let connector =
                HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
            let rounds = Rounds {
                asked,
                http: Client::builder(TokioExecutor::new()).build(connector),
                tree: Arc::new(TreeReader::new(data_dir)),
                policy: Arc::clone(policy),
                back: Arc::clone(&back),
                status: status.clone(),
            };
            let status = status.clone();
            let run = move || {
                if let Err(panic) = guarded(|| rounds.run(offered, stopped)) {
                    tracing::error!(error = panic, "witnesses are not asked any more");
                    status.change(|status| status.failure = Some(panic));
                }
            };
            thread = Some(std::thread::Builder::new().name("witnesses".to_owned()).spawn(run)?);
        }
        Ok(Self { offers, stop, back, thread })
    }

    /// The newest checkpoint; one that waits to be shown is forgotten for it.
    pub(super) fn offer(&self, note: SignedNote) {
        self.offers.send_replace(Some(note));
    }

    /// What has come back since the last time.
    pub(super) fn take(&self) -> Vec<Cosigned> {
        std::mem::take(&mut *self.back.cosigned.lock())
    }

    /// Comes when there is something to take.
    pub(super) async fn wait(&self) {
        self.back.news.notified().await;
    }
}

impl Drop for Push {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A witness that is asked, and what is known of it.
#[derive(Debug, Clone)]
struct Asked {
    witness: Witness,
    uri: Uri,
    /// What it has cosigned last, as far as we know.
    size: TreeSize,
    /// Not before.
    again: Option<Instant>,
    backoff: Duration,
}

impl Asked {
    fn of(witness: &Witness) -> Option<Self> {
        let url = witness.url.as_ref()?;
        match format!("{}/add-checkpoint", url.trim_end_matches('/')).parse() {
            Ok(uri) => Some(Self {
                witness: witness.clone(),
                uri,
                size: TreeSize::ZERO,
                again: None,
                backoff: BACKOFF,
            }),
            Err(error) => {
                tracing::error!(witness = witness.name, url, %error, "the witness's address is none: it is not asked");
                None
            }
        }
    }
}

struct Rounds {
    asked: Vec<Asked>,
    http: Http,
    tree: Arc<TreeReader>,
    policy: Arc<Policy>,
    back: Arc<Back>,
    status: status::Shared,
}

impl Rounds {
    fn run(mut self, mut offered: watch::Receiver<Option<SignedNote>>, mut stopped: watch::Receiver<bool>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "witnesses cannot be asked"),
        };
        runtime.block_on(async {
            loop {
                let rounds = async {
                    // Also without anything new: a witness that failed is asked again for the same.
                    let _ = tokio::time::timeout(BACKOFF, offered.changed()).await;
                    let newest = offered.borrow_and_update().clone();
                    if let Some(note) = newest {
                        self.round(note).await;
                    }
                };
                tokio::select! {
                    () = rounds => {}
                    _ = stopped.wait_for(|stopped| *stopped) => return,
                }
            }
        });
    }

    /// Asks everybody who has not cosigned this checkpoint yet.
    async fn round(&mut self, mut note: SignedNote) {
        let Ok(checkpoint) = Checkpoint::parse(note.text()) else { return };
        let size = checkpoint.head.size;
        let mut asking = JoinSet::new();
        for (index, asked) in self.asked.iter().enumerate() {
            if asked.size < size && asked.again.is_none_or(|again| again <= Instant::now()) {
                let (asked, http, tree, note) =
                    (asked.clone(), self.http.clone(), Arc::clone(&self.tree), note.clone());
                asking.spawn(async move {
                    let answer =
                        tokio::time::timeout(ANSWER_TIME_MAX, ask(asked, http, tree, note, size)).await;
                    (index, answer.unwrap_or_else(|_| Err("it does not answer in time".to_owned())))
                });
            }
        }
        let mut was_met = false;
        while let Some(joined) = asking.join_next().await {
            let Ok((index, answer)) = joined else { continue };
            let Some(asked) = self.asked.get_mut(index) else { continue };
            let failure = match answer {
                Ok(signature) => {
                    note.add(signature);
                    (asked.size, asked.again, asked.backoff) = (size, None, BACKOFF);
                    None
                }
                Err(error) => {
                    asked.again = Some(Instant::now() + asked.backoff);
                    asked.backoff = (asked.backoff * 2).min(BACKOFF_MAX);
                    Some(error)
                }
            };
            let is_met = self.policy.is_met(|key| note.verify(&[key]).is_ok());
            self.tell(index, size, failure);
            // Once when there are enough, and once more with all of them.
            if is_met && (!was_met || asking.is_empty()) {
                was_met = true;
                self.back.cosigned.lock().push(Cosigned { note: note.clone(), is_met });
                self.back.news.notify_one();
            }
        }
    }

    fn tell(&self, index: usize, size: TreeSize, failure: Option<String>) {
        self.status.change(|status| {
            let Some(witness) = status.witnesses.get_mut(index) else { return };
            if failure.is_some() && witness.failure != failure {
                tracing::warn!(witness = witness.name, error = failure, "a witness has not cosigned");
            }
            if failure.is_none() {
                witness.cosigned = size;
            }
            witness.failure = failure;
        });
    }
}

/// One witness's cosignature under a checkpoint. It is asked a second time when it says that it is elsewhere than we thought.
async fn ask(
    mut asked: Asked,
    http: Http,
    tree: Arc<TreeReader>,
    note: SignedNote,
    size: TreeSize,
) -> Result<NoteSignature, String> {
    for _ in 0..2 {
        let proof = prove(&tree, asked.size, size)?;
        let body = AddCheckpoint { old: asked.size, proof, note: note.clone() }.to_string();
        let request =
            Request::builder().method(Method::POST).uri(&asked.uri).body(Full::new(Bytes::from(body)));
        let request = request.map_err(|error| error.to_string())?;
        let response =
            http.request(request).await.map_err(|error| format!("it cannot be reached: {error}"))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("its answer cannot be read: {error}"))?.to_bytes();
        let text = String::from_utf8_lossy(&body);
        match status {
            StatusCode::OK => return cosignature(&asked.witness, &note, &text),
            StatusCode::CONFLICT => {
                let latest: u64 =
                    text.trim_end().parse().map_err(|_| "its conflict names no size".to_owned())?;
                asked.size = TreeSize::new(latest);
                if asked.size > size {
                    return Err(format!("it has cosigned {latest} leaves, and we have signed {size}"));
                }
            }
            _ => {
                let said: String = text.chars().take(200).collect();
                return Err(format!("it answers {status}: {}", said.trim_end()));
            }
        }
    }
    Err("it is elsewhere again than it has just said".to_owned())
}

fn prove(tree: &TreeReader, old: TreeSize, size: TreeSize) -> Result<Vec<eventstore::Digest>, String> {
    let files = tree.tree().ok_or("there is no tree to prove with")?;
    let prover = Prover::new(&*files, size);
    prover.consistency(old).map_err(|error: TreeError| format!("the tree does not give a proof: {error}"))
}

/// The witness's own line among those that it has answered, if it is good.
fn cosignature(witness: &Witness, note: &SignedNote, answer: &str) -> Result<NoteSignature, String> {
    for line in answer.lines() {
        let Ok(signature) = NoteSignature::parse(line) else { continue };
        if !signature.claims(&witness.key) {
            continue;
        }
        let mut cosigned = note.clone();
        cosigned.add(signature.clone());
        cosigned.verify(&[&witness.key]).map_err(|error| error.to_string())?;
        return Ok(signature);
    }
    Err("its answer has no signature of its key".to_owned())
}
