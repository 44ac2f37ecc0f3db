//! An instance: directories, sockets, processes.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use aios_auth::key::SecretKey;
use aios_auth::person::PersonKey;
use aios_confine::plan::Identity;
use aios_core::paths::Paths;
use anyhow::{Context, Result};
use hyper_util::rt::TokioIo;
use nix::sys::signal::Signal;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use crate::process::{Ended, Process, Start, tail};
use crate::service::CHECKOUT;
use crate::who::{PERSON_UID, Who, connect_as, group};
use crate::{Service, client, process};

const END_LIMIT: Duration = Duration::from_secs(30);

/// What an instance starts with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Services, in the order in which they start.
    pub services: Vec<Service>,
    /// Text of `etc/config.toml`.
    pub config: String,
    /// Text of `etc/policy.toml`.
    pub policy: Option<String>,
    /// Whether the person's key is enrolled once the guard runs.
    pub enrol: bool,
    /// More environment for every service.
    pub env: Vec<(String, String)>,
    /// Whether failpoints can be armed. Each that is passed then looks for its file, which takes time.
    pub failpoints: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            services: vec![Service::Guard, Service::WorkerFs, Service::Tools],
            config: String::new(),
            policy: None,
            enrol: true,
            env: Vec::new(),
            failpoints: true,
        }
    }
}

impl Options {
    /// The default services, with a guard that mints tokens of full autonomy.
    #[must_use]
    pub fn with_full_autonomy() -> Self {
        Self {
            config: "[guard]\nmax_autonomy = \"full\"\n".to_owned(),
            ..Self::default()
        }
    }
}

/// A running instance of its own; killed and removed when dropped.
#[derive(Debug)]
pub struct Instance {
    root: TempDir,
    paths: Paths,
    options: Options,
    listeners: BTreeMap<Service, Vec<(String, UnixListener)>>,
    processes: BTreeMap<Service, Process>,
    person: PersonKey,
    seed: [u8; 32],
}

impl Instance {
    /// Makes the directories and sockets, starts the services, enrols the person.
    ///
    /// # Errors
    /// Not root, a program is not built, a user is missing, or a service does not become ready (its
    /// log is in the error).
    pub fn start(options: Options) -> Result<Self> {
        let mut instance = Self::prepare(options)?;
        for service in instance.options.services.clone() {
            instance.restart(service)?;
        }
        if instance.options.enrol && instance.processes.contains_key(&Service::Guard) {
            client::enrol(&instance)?;
        }
        Ok(instance)
    }

    /// As [`Instance::start`], but starts nothing.
    ///
    /// # Errors
    /// As [`Instance::start`].
    pub fn prepare(options: Options) -> Result<Self> {
        anyhow::ensure!(
            rustix::process::geteuid().is_root(),
            "only root can start services as other users"
        );
        let root = tempfile::Builder::new().prefix("aios-").tempdir_in("/tmp")?;
        let paths = Paths::development(root.path());
        let key = SecretKey::generate()?;
        let seed = *key.seed();
        let mut instance = Self {
            root,
            paths,
            options,
            listeners: BTreeMap::new(),
            processes: BTreeMap::new(),
            person: PersonKey::new(PERSON_UID, key),
            seed,
        };
        instance.directories()?;
        instance.files()?;
        for service in instance.options.services.clone() {
            let opened = instance.listen(service)?;
            instance.listeners.insert(service, opened);
        }
        Ok(instance)
    }

    fn directories(&self) -> Result<()> {
        let paths = &self.paths;
        let workers = group("aios-workers")?;
        directory(self.root.path(), 0, 0, 0o755)?;
        for (path, gid, mode) in [
            (paths.vendor.clone(), 0, 0o755),
            (paths.vendor.join("bin"), 0, 0o755),
            (paths.etc.clone(), 0, 0o755),
            (paths.state.clone(), 0, 0o711),
            (paths.state.join("persons"), 0, 0o711),
            (paths.state.join("worker"), 0, 0o711),
            (paths.run.clone(), 0, 0o755),
            (paths.run.join("worker"), workers, 0o750),
            (paths.run.join("notify"), 0, 0o755),
            (self.root.path().join("log"), 0, 0o755),
        ] {
            directory(&path, 0, gid, mode)?;
        }
        for service in [
            Service::Guard,
            Service::Tools,
            Service::Memory,
            Service::Orchestrator,
            Service::Console,
            Service::Sandbox,
        ]
        .into_iter()
        .chain(Service::WORKERS)
        {
            let ids = Who::Of(service).ids()?;
            directory(&service.state(paths), ids.uid, ids.gid, 0o700)?;
        }
        let guard = Who::Of(Service::Guard).ids()?;
        directory(&paths.run.join("trust"), guard.uid, guard.gid, 0o755)?;
        directory(
            &paths.state.join("persons").join(PERSON_UID.to_string()),
            PERSON_UID,
            PERSON_UID,
            0o700,
        )?;
        directory(&self.failpoints(), 0, 0, 0o777)?;
        directory(&self.tree(), PERSON_UID, PERSON_UID, 0o755)
    }

    /// Vendor configuration from the checkout, the test's own, and the person's key.
    fn files(&self) -> Result<()> {
        let configs = Path::new(CHECKOUT).join("configs");
        for name in ["config.toml", "policy.toml"] {
            let from = configs.join(name);
            if from.exists() {
                fs::copy(&from, self.paths.vendor.join(name)).with_context(|| from.display().to_string())?;
            }
        }
        for name in ["agents", "runbooks"] {
            copy_flat(&configs.join(name), &self.paths.vendor.join(name))?;
        }
        fs::write(self.paths.etc.join("config.toml"), &self.options.config)?;
        if let Some(policy) = &self.options.policy {
            fs::write(self.paths.etc.join("policy.toml"), policy)?;
        }
        // Written here, not by `PersonKey::load_or_create`, because root writes it for another user.
        let key = self.paths.person_key(PERSON_UID);
        fs::write(&key, self.seed)?;
        fs::set_permissions(&key, PermissionsExt::from_mode(0o600))?;
        Ok(chown(&key, Some(PERSON_UID), Some(PERSON_UID))?)
    }

    fn listen(&self, service: Service) -> Result<Vec<(String, UnixListener)>> {
        let (owner, group) = (Who::Of(service).uid()?, group(service.socket_group())?);
        let open = |(name, path): (String, PathBuf)| {
            let listener = UnixListener::bind(&path).with_context(|| path.display().to_string())?;
            chown(&path, Some(owner), Some(group))?;
            fs::set_permissions(&path, PermissionsExt::from_mode(0o660))?;
            Ok((name, listener))
        };
        service.sockets(&self.paths)?.into_iter().map(open).collect()
    }

    /// Starts a service, again after it ended.
    ///
    /// # Errors
    /// It still runs, or does not become ready.
    pub fn restart(&mut self, service: Service) -> Result<()> {
        if let Some(process) = self.processes.get_mut(&service) {
            anyhow::ensure!(process.poll()?.is_some(), "{} still runs", service.unit());
        }
        let (program, args) = service.command(&self.paths)?;
        let program = self.install(&program)?;
        if !self.listeners.contains_key(&service) {
            let opened = self.listen(service)?;
            self.listeners.insert(service, opened);
        }
        let listeners = self.listeners.get(&service).context("just opened")?;
        let process = Process::start(&Start {
            program,
            args,
            plan: service.plan(&self.paths)?,
            env: self.environment(),
            listeners,
            log: self.log_file(service),
            notify: self.paths.run.join("notify").join(service.name()),
        })
        .with_context(|| service.unit())?;
        self.processes.insert(service, process);
        Ok(())
    }

    /// Links (or copies) a program of this build to where other users can run it; answers that place.
    ///
    /// # Errors
    /// It is not built.
    pub fn install(&self, program: &str) -> Result<PathBuf> {
        let to = self.paths.vendor.join("bin").join(program);
        if !to.exists() {
            let from = built(program)?;
            if fs::hard_link(&from, &to).is_err() {
                fs::copy(&from, &to)?;
            }
        }
        Ok(to)
    }

    /// Starts aios-init on the instance's tree, as root, with the services that are described there. It logs to
    /// `init.log`, and whoever starts it ends it.
    ///
    /// # Errors
    /// It is not built, or cannot be started.
    pub fn start_init(&self) -> Result<Child> {
        self.install("aios-supervisor")?;
        let init = Command::new(self.install("aios-init")?)
            .arg("--state")
            .arg(self.root())
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.root().join("init.log"))?)
            .spawn()?;
        Ok(init)
    }

    fn environment(&self) -> Vec<(OsString, OsString)> {
        let mut env: Vec<(OsString, OsString)> = self
            .paths
            .to_env()
            .iter()
            .map(|(name, path)| ((*name).into(), path.as_os_str().to_owned()))
            .collect();
        env.push(("PATH".into(), "/usr/sbin:/usr/bin:/sbin:/bin".into()));
        if self.options.failpoints {
            env.push(("AIOS_FAILPOINT_DIR".into(), self.failpoints().into()));
        }
        if let Some(level) = std::env::var_os("AIOS_LOG") {
            env.push(("AIOS_LOG".into(), level));
        }
        env.extend(
            self.options
                .env
                .iter()
                .map(|(name, value)| (name.into(), value.into())),
        );
        env
    }

    /// The four directories.
    #[must_use]
    pub fn paths(&self) -> &Paths {
        &self.paths
    }

    /// Directory of the whole instance.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A tree that belongs to the person, for tools to work on.
    #[must_use]
    pub fn tree(&self) -> PathBuf {
        self.root.path().join("tree")
    }

    /// Writes a file of the person below [`Instance::tree`]; directories on the way are made.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn file(&self, name: &str, content: &[u8]) -> Result<String> {
        let path = self.tree().join(name);
        let parent = path.parent().context("a file has a directory")?;
        let mut missing: Vec<&Path> = parent.ancestors().take_while(|dir| !dir.exists()).collect();
        while let Some(dir) = missing.pop() {
            directory(dir, PERSON_UID, PERSON_UID, 0o755)?;
        }
        fs::write(&path, content)?;
        chown(&path, Some(PERSON_UID), Some(PERSON_UID))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The person's key, enrolled unless the options say otherwise.
    #[must_use]
    pub fn person(&self) -> &PersonKey {
        &self.person
    }

    /// A channel to a service, connecting as `who`. It connects at the first call and again after a
    /// failure.
    ///
    /// # Errors
    /// The user does not exist.
    pub fn channel(&self, who: Who, service: Service) -> Result<Channel> {
        let (ids, path) = (who.ids()?, service.socket(&self.paths));
        Ok(
            Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
                move |_: tonic::transport::Uri| {
                    let (ids, path) = (ids.clone(), path.clone());
                    async move { connect_as(ids, path).await.map(TokioIo::new) }
                },
            )),
        )
    }

    /// Process id of a running service.
    #[must_use]
    pub fn pid(&self, service: Service) -> Option<i32> {
        self.processes.get(&service).map(Process::pid)
    }

    /// Kills a service with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// It does not run.
    pub fn kill(&mut self, service: Service) -> Result<Ended> {
        self.process(service)?.end(Signal::SIGKILL, END_LIMIT)
    }

    /// Ends a service with SIGTERM.
    ///
    /// # Errors
    /// It does not run, or does not end.
    pub fn stop(&mut self, service: Service) -> Result<Ended> {
        self.process(service)?.end(Signal::SIGTERM, END_LIMIT)
    }

    /// Stops a service in its tracks (SIGSTOP) or lets it go on (SIGCONT): a silent guard.
    ///
    /// # Errors
    /// It does not run.
    pub fn pause(&mut self, service: Service, paused: bool) -> Result<()> {
        self.process(service)?
            .signal(if paused { Signal::SIGSTOP } else { Signal::SIGCONT })
    }

    /// Arms a failpoint: the process that reaches it next kills itself.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn arm(&self, failpoint: &str) -> Result<()> {
        let path = self.failpoints().join(failpoint);
        fs::write(&path, b"")?;
        Ok(fs::set_permissions(&path, PermissionsExt::from_mode(0o666))?)
    }

    /// Whether a failpoint is still armed: nothing reached it.
    #[must_use]
    pub fn armed(&self, failpoint: &str) -> bool {
        self.failpoints().join(failpoint).exists()
    }

    /// Waits until a service killed itself at a failpoint.
    ///
    /// # Errors
    /// It does not end in 30 s, or ended otherwise.
    pub fn wait_killed(&mut self, service: Service) -> Result<()> {
        let ended = self.process(service)?.wait(END_LIMIT)?;
        anyhow::ensure!(
            ended == Ended::Signal(9),
            "{} ended with {ended:?}",
            service.unit()
        );
        Ok(())
    }

    /// How a service ended, `None` while it runs.
    ///
    /// # Errors
    /// It was never started.
    pub fn ended(&mut self, service: Service) -> Result<Option<Ended>> {
        self.process(service)?.poll()
    }

    /// The last lines of a service's log.
    #[must_use]
    pub fn log(&self, service: Service) -> String {
        tail(&self.log_file(service))
    }

    /// Runs a program as a user, outside of all services; `confined` sets no-new-privileges as for
    /// everything that agents, tools and workers start. The program must be readable for that user.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn probe(&self, who: Who, confined: bool, program: &[&str]) -> Result<Output> {
        let ids = who.ids()?;
        let mut command = std::process::Command::new("setpriv");
        command.args([format!("--reuid={}", ids.uid), format!("--regid={}", ids.gid)]);
        let groups: Vec<String> = ids.groups.iter().map(ToString::to_string).collect();
        if groups.is_empty() {
            command.arg("--clear-groups");
        } else {
            command.arg(format!("--groups={}", groups.join(",")));
        }
        if confined {
            command.arg("--no-new-privs");
        }
        command
            .args(program)
            .env_clear()
            .envs(self.environment())
            .current_dir("/");
        command
            .output()
            .with_context(|| format!("setpriv … {}", program.join(" ")))
    }

    /// Runs a program to its end as a service is confined (user, capabilities, view, seccomp), or with
    /// another identity in the same confinement; answers what it printed.
    ///
    /// # Errors
    /// It cannot be started, does not end in 30 s, or does not end well.
    pub fn run_confined(
        &self,
        like: Service,
        identity: Option<Identity>,
        program: &[String],
    ) -> Result<String> {
        let [path, args @ ..] = program else {
            anyhow::bail!("no program")
        };
        let mut plan = like.plan(&self.paths)?;
        plan.identity = identity.or(plan.identity);
        process::run_to_end(
            &plan,
            path,
            args,
            self.environment(),
            &self.root.path().join("log/confined.log"),
        )
    }

    fn process(&mut self, service: Service) -> Result<&mut Process> {
        self.processes
            .get_mut(&service)
            .with_context(|| format!("{} was never started", service.unit()))
    }

    fn failpoints(&self) -> PathBuf {
        self.root.path().join("failpoints")
    }

    fn log_file(&self, service: Service) -> PathBuf {
        self.root
            .path()
            .join("log")
            .join(format!("{}.log", service.name()))
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        for process in self.processes.values_mut() {
            // A process that cannot be killed is reported by whoever looks for leftovers.
            drop(process.end(Signal::SIGKILL, END_LIMIT));
        }
        if std::thread::panicking() {
            for service in self.processes.keys() {
                let log = tail(&self.log_file(*service));
                drop(std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("--- {}\n{log}\n", service.unit()).as_bytes(),
                ));
            }
        }
    }
}

/// A program of this build.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let found = test
        .ancestors()
        .skip(1)
        .take(2)
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    found.with_context(|| format!("{name} is not built: run `cargo build --release` first"))
}

fn directory(path: &Path, uid: u32, gid: u32, mode: u32) -> Result<()> {
    if !path.exists() {
        fs::create_dir(path).with_context(|| path.display().to_string())?;
    }
    chown(path, Some(uid), Some(gid))?;
    Ok(fs::set_permissions(path, PermissionsExt::from_mode(mode))?)
}

fn copy_flat(from: &Path, to: &Path) -> Result<()> {
    if !from.exists() {
        return Ok(());
    }
    directory(to, 0, 0, 0o755)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
