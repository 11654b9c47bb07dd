//! Each request is answered here, on a stream of its own: it ends with its answer, with its caller's link, when it is sent away, or
//! when the node leaves.

use super::inbound::Inbound;
use super::inputs::LocalSources;
use super::present::Here;
use super::{Jobs, Stop, artifact, chain, gone, kept, lending, sessions, sharing, walk};
use crate::dispatch::Caller;
use crate::wire::{Cancel, Fault, FaultCode, Frame, FrameStream, FrameWriter, Tag};
use tokio::sync::oneshot;

impl Jobs {
    /// Answers a request, and waits until its caller has heard it.
    pub(super) async fn answer(&self, caller: Caller, first: Frame, stream: FrameStream, local: LocalSources) {
        let mut writer = stream.writer;
        let mut inbound = Inbound::new(stream.reader);
        let mut leaving = self.inner.leaving.subscribe();
        let runs = matches!(first.tag, Tag::SUBMIT | Tag::SESSION_TURN);
        let (here, dismissed) = runs.then(|| self.inner.present.arrive(&caller)).unzip();
        let result = tokio::select! {
            result = self.answer_to(&caller, &first, &mut inbound, &mut writer, &local, here.as_ref()) => result,
            why = sent_away(dismissed) => Err(why.into()),
            _ = leaving.wait_for(|leaving| *leaving) => {
                Err(Fault::new(FaultCode::LEAVING, format!("{} is leaving and ended the job", self.inner.name)).into())
            }
            () = link_end(&caller) => Err(Stop::Gone),
        };
        // What it had started has ended; that is told, whether it is heard or not.
        drop(here);
        match result {
            Ok(()) | Err(Stop::Gone | Stop::Cancelled) => {}
            Err(Stop::Refused(fault)) => {
                tracing::debug!(caller = %caller.id.short(), code = fault.code.0, text = %fault.text, "request refused");
                // Whoever cannot be told is gone, and the stream ends here either way.
                let _ = writer.send_fault(&fault).await;
            }
        }
        if writer.finish().await.is_ok() {
            inbound.until_closed().await;
        }
    }

    async fn answer_to(
        &self,
        caller: &Caller,
        first: &Frame,
        inbound: &mut Inbound,
        writer: &mut FrameWriter,
        local: &LocalSources,
        here: Option<&Here>,
    ) -> Result<(), Stop> {
        match (first.tag, here) {
            (Tag::SUBMIT, Some(here)) => walk::walk(&self.inner, caller, first, inbound, writer, local, here).await,
            (Tag::SESSION_TURN, Some(here)) => sessions::turn(&self.inner, caller, first, inbound, writer, here).await,
            (tag, _) if tag.is_about_kept_runs() => {
                kept::answer(&self.inner, caller, first, inbound, writer, local).await
            }
            _ => self.answer_at_once(caller, first, inbound, writer).await,
        }
    }

    /// Answers a request that runs nothing.
    async fn answer_at_once(
        &self,
        caller: &Caller,
        first: &Frame,
        inbound: &mut Inbound,
        writer: &mut FrameWriter,
    ) -> Result<(), Stop> {
        match first.tag {
            Tag::CANCEL => self.cancel(caller, first, writer).await,
            Tag::FETCH_ARTIFACT => artifact::serve(&self.inner.runtime, first, writer).await,
            Tag::SESSION_INTERRUPT => sessions::interrupt(&self.inner, caller, first, writer).await,
            Tag::SESSION_LIST => sessions::list(&self.inner, caller, writer).await,
            Tag::SESSION_SAVE => sessions::save(&self.inner, caller, first, inbound, writer).await,
            Tag::SESSION_FORK => sessions::fork(&self.inner, caller, first, writer).await,
            Tag::SESSION_STOP => sessions::stop(&self.inner, caller, first, writer).await,
            Tag::OWNER_QUOTAS => sharing::tell(&self.inner, caller, writer).await,
            Tag::OWNER_SHARING => lending::tell(&self.inner, caller, writer).await,
            Tag::OWNER_PAUSE => lending::pause(&self.inner, caller, first, writer).await,
            Tag::OWNER_RESUME => lending::resume(&self.inner, caller, writer).await,
            Tag::OWNER_JOBS => lending::jobs(&self.inner, caller, writer).await,
            Tag::OWNER_END_JOB => lending::end_job(&self.inner, caller, first, writer).await,
            tag => Err(Fault::new(FaultCode::UNSUPPORTED, format!("{tag} is no request this node knows")).into()),
        }
    }

    async fn cancel(&self, caller: &Caller, first: &Frame, writer: &mut FrameWriter) -> Result<(), Stop> {
        let request: Cancel = first.decode().map_err(|error| Fault::new(FaultCode::BAD_MESSAGE, chain(&error)))?;
        if !self.inner.cancellations.cancel(caller.id, request.job) {
            return Err(Fault::new(FaultCode::NOT_FOUND, format!("no job {} is here", request.job)).into());
        }
        writer.send_empty(Tag::DONE).await.map_err(gone)
    }
}

/// Returns when the request is sent away, with the reason.
pub(super) async fn sent_away(dismissed: Option<oneshot::Receiver<Fault>>) -> Fault {
    match dismissed {
        // Whoever could send it away is gone when this fails, and then nobody does.
        Some(dismissed) => match dismissed.await {
            Ok(why) => why,
            Err(_) => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

/// Returns when the caller's connection has ended, whatever its streams still hold.
async fn link_end(caller: &Caller) {
    match &caller.link {
        Some(link) => drop(link.closed().await),
        None => std::future::pending().await,
    }
}
