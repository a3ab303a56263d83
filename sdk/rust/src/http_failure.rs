//! Mapping from HTTP responses and errors to failures of a route.

use super::Failure;
use super::http::{HttpError, HttpResponse, described};

impl HttpResponse {
    /// Returns the response if the server accepted the request, else the usual class of failure.
    /// 5xx, 408, 425 and 429 are retried. All others, with redirects, reject the data for good.
    pub fn accepted(self) -> Result<HttpResponse, Failure> {
        match self.status {
            200..300 => Ok(self),
            408 | 425 | 429 | 500.. => Err(Failure::Retry(format!("the server answered {}", self.status))),
            status => Err(Failure::Reject(format!("the server answered {status}"))),
        }
    }
}

/// Usual class of failure of an error. A missing grant is fatal. Data that is too large or cannot
/// be sent is rejected. The route waits for a server that is away.
impl From<HttpError> for Failure {
    fn from(error: HttpError) -> Failure {
        let reason = described(&error);
        match error {
            HttpError::Denied(_) => Failure::Fatal(reason),
            HttpError::Invalid(_) | HttpError::TooLarge(_) => Failure::Reject(reason),
            HttpError::LimitReached => Failure::Retry(reason),
            HttpError::Refused
            | HttpError::Unreachable(_)
            | HttpError::Tls(_)
            | HttpError::TimedOut
            | HttpError::Closed
            | HttpError::Protocol(_)
            | HttpError::Other(_) => Failure::Reconnect(reason),
        }
    }
}
