//! What every answer of a deprecated operation says: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and `Link`.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;
use axum::routing::MethodRouter;
use std::convert::Infallible;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// Since when something is deprecated, how long it will work, and where to read on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deprecation {
    /// When it became so.
    pub(crate) since: OffsetDateTime,
    /// From when on it may answer no more, if that is settled.
    pub(crate) sunset: Option<OffsetDateTime>,
    /// Where it is explained.
    pub(crate) link: &'static str,
    /// What is to be used in its place.
    pub(crate) successor: Option<&'static str>,
}

impl Deprecation {
    /// The headers of every answer.
    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let mut say = |name: HeaderName, text: String| {
            // Dates and URLs are always a header's value.
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.append(name, value);
            }
        };
        say(DEPRECATION, format!("@{}", self.since.unix_timestamp()));
        // An HTTP date is one of RFC 2822 whose zone is spelt GMT.
        if let Some(Ok(date)) =
            self.sunset.map(|sunset| sunset.to_offset(time::UtcOffset::UTC).format(&Rfc2822))
        {
            say(SUNSET, date.replace("+0000", "GMT"));
        }
        say(header::LINK, format!("<{}>; rel=\"deprecation\"; type=\"text/html\"", self.link));
        if let Some(successor) = self.successor {
            say(header::LINK, format!("<{successor}>; rel=\"successor-version\""));
        }
        headers
    }

    /// Lets every answer of a route say it, refusals included.
    pub(crate) fn layer<S>(&self, route: MethodRouter<S>) -> MethodRouter<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let headers = self.headers();
        route.layer(axum::middleware::map_response(move |mut response: Response| {
            let headers = headers.clone();
            async move {
                response.headers_mut().extend(headers);
                Ok::<_, Infallible>(response)
            }
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::extract::Request;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn every_answer_says_since_when_until_when_and_what_instead() {
        let at = |seconds| OffsetDateTime::from_unix_timestamp(seconds).unwrap();
        let deprecation = Deprecation {
            // The example of RFC 9745, and the one of RFC 8594.
            since: at(1_688_169_599),
            sunset: Some(at(1_541_030_399)),
            link: "https://example.org/deprecated",
            successor: Some("/api/v2/old"),
        };
        let app: Router = Router::new().route("/old", deprecation.layer(get(async || "still here")));
        let response = app.oneshot(Request::get("/old").body(Body::empty()).unwrap()).await.unwrap();
        let headers = response.headers();
        assert_eq!(headers["deprecation"], "@1688169599");
        assert_eq!(headers["sunset"], "Wed, 31 Oct 2018 23:59:59 GMT");
        let links: Vec<_> = headers.get_all("link").iter().collect();
        assert_eq!(
            links,
            [
                "<https://example.org/deprecated>; rel=\"deprecation\"; type=\"text/html\"",
                "</api/v2/old>; rel=\"successor-version\""
            ]
        );
    }
}
