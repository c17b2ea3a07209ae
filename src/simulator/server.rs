//! The simulator as a server on the loopback interface, over HTTP/1.1 and h2c.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::thread::JoinHandle;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::exchange;
use super::fault::{Fault, FaultId};
use super::plan::Plan;
use super::tally::{Seen, Tally};
use super::tap::{Sabotage, Tap};
use super::world::World;

/// Connections that are served at once; more wait to be accepted.
const CONNECTIONS: usize = 16_384;

/// A running simulator. It ends when this is dropped, and cuts what is under way.
#[derive(Debug)]
pub struct Simulator {
    addr: SocketAddr,
    world: Arc<World>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Simulator {
    /// Starts one on a thread and a port of its own.
    ///
    /// # Errors
    /// When no port or no thread is to be had.
    pub fn start(plan: Plan) -> io::Result<Self> {
        Self::start_at(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), plan)
    }

    /// Starts one on a thread of its own, at `addr`.
    ///
    /// # Errors
    /// When the port is taken, or no thread is to be had.
    pub fn start_at(addr: SocketAddr, plan: Plan) -> io::Result<Self> {
        let listener = bind(addr)?;
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let world = Arc::new(World::new(plan));
        let (stop, stopped) = watch::channel(false);
        let serving = Arc::clone(&world);
        let work = move || runtime.block_on(accept(listener, serving, stopped));
        let thread = std::thread::Builder::new().name("simulator".to_owned()).spawn(work)?;
        Ok(Self { addr, world, stop, thread: Some(thread) })
    }

    /// Starts one on the runtime this is called in, whose clock it follows, paused or not.
    ///
    /// # Errors
    /// When no port is to be had.
    pub fn start_here(plan: Plan) -> io::Result<Self> {
        let listener = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = listener.local_addr()?;
        let world = Arc::new(World::new(plan));
        let (stop, stopped) = watch::channel(false);
        let serving = accept(listener, Arc::clone(&world), stopped);
        tokio::runtime::Handle::current().spawn(serving);
        Ok(Self { addr, world, stop, thread: None })
    }

    /// Where it is.
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its base URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// What it served and refused so far.
    pub fn tally(&self) -> Tally {
        self.world.ledger().tally.clone()
    }

    /// The last requests it saw, at most 256, the oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        self.world.ledger().requests().cloned().collect()
    }

    /// Every credential it ever saw, in any header or in `?key=`.
    pub fn seen_credentials(&self) -> BTreeSet<String> {
        self.world.ledger().credentials().clone()
    }

    /// Makes something go wrong from now on.
    pub fn break_with(&self, fault: Fault) -> FaultId {
        let now = self.world.now().at;
        self.world.faults().add(fault, now)
    }

    /// Puts it right again.
    pub fn mend(&self, fault: FaultId) {
        self.world.faults().remove(fault);
    }

    /// Puts everything right again.
    pub fn mend_all(&self) {
        self.world.faults().clear();
    }

    /// Fills all limits, empties all stores, and forgets faults and tallies.
    pub fn reset(&self) {
        self.world.reset();
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been reported where it happened.
            drop(thread.join());
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<StdListener> {
    let listener = StdListener::bind(addr)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

async fn accept(listener: StdListener, world: Arc<World>, mut stop: watch::Receiver<bool>) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            accepted = listener.accept(), if connections.len() < CONNECTIONS => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&world)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, world: Arc<World>) {
    // Without it small pieces of a stream would wait for each other.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let sabotage = Sabotage::default();
    let tap = Tap::new(stream, sabotage.clone());
    let service = service_fn(move |request| {
        let answered = exchange::answer(Arc::clone(&world), sabotage.clone(), request);
        async { Ok::<_, std::convert::Infallible>(answered.await) }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new());
    builder.http2().timer(TokioTimer::new());
    // How a connection ended tells nothing that its answers have not told.
    drop(builder.serve_connection_with_upgrades(TokioIo::new(tap), service).await);
}
