//! Pages and endpoints in the table of a context.

use std::{future::Future, sync::Arc};

use bytes::Bytes;
use http::{Method, Request, Response};
use kernel::{Calls, Context, Cx, Endpoint, Permission, Problem, ScopeKind, context::Body};

/// A context under construction, with what serves the lines that are added.
pub struct Table<T> {
    context: Context,
    it: Arc<T>,
    calls: Calls,
}

impl<T: Send + Sync + 'static> Table<T> {
    /// Goes on with a context.
    pub fn of(context: Context, it: &Arc<T>, calls: Calls) -> Self {
        Self { context, it: Arc::clone(it), calls }
    }

    /// The context with all lines.
    pub fn into_context(self) -> Context {
        self.context
    }

    /// One more line. A problem of a page is shown as a page.
    #[must_use]
    pub fn at<F, R>(
        mut self,
        (method, path): (Method, &'static str),
        name: &'static str,
        summary: &'static str,
        of: (ScopeKind, Permission),
        serve: F,
    ) -> Self
    where
        F: Fn(Arc<T>, Request<Bytes>, Cx) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Response<Body>, Problem>> + Send + 'static,
    {
        let pages = ["/oauth/authorize", "/oauth/logout"];
        let html = pages.contains(&path) || (!path.starts_with("/oauth") && !path.starts_with("/.well-known"));
        let (it, calls, serve) = (Arc::clone(&self.it), self.calls.clone(), Arc::new(serve));
        let endpoint = Endpoint::new(name, summary, of.0, of.1, move |request: Request<Bytes>, cx: Cx| {
            let (it, calls, serve) = (Arc::clone(&it), calls.clone(), Arc::clone(&serve));
            let to_person = html && look::wants_pages(&request);
            async move {
                let answer = serve(it, request, cx.clone()).await;
                look::shown(answer, to_person, &calls, &cx).await
            }
        });
        let endpoint = if html { endpoint.produces("text/html") } else { endpoint };
        let form = method == Method::POST;
        let endpoint = if form { endpoint.accepts("application/x-www-form-urlencoded") } else { endpoint };
        self.context = self.context.endpoint(method, path, endpoint);
        self
    }
}
