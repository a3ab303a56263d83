//! What an exchange with an HTTP server means to a route.

use super::Failure;
use super::http::{HttpError, HttpResponse, described};

impl HttpResponse {
    /// The response of a server that took the request; else the class of failure that the status usually is: of 5xx, of 408, 425 and 429 to try
    /// again, of all others, redirects among them, that the data can never pass.
    pub fn accepted(self) -> Result<HttpResponse, Failure> {
        match self.status {
            200..300 => Ok(self),
            408 | 425 | 429 | 500.. => Err(Failure::Retry(format!("the server answered {}", self.status))),
            status => Err(Failure::Reject(format!("the server answered {status}"))),
        }
    }
}

/// The class of failure that an error usually is: what is not granted is fatal, what cannot be sent or is too large can never pass, and a server that is away is
/// waited for.
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
