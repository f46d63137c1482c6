//! The layer of faults of the test kit, as the client library's way to the network: `testkit::dynamodb` says what strikes,
//! here it is done.

mod answers;
mod body;
mod request;

use std::time::Duration;

use aws_sdk_dynamodb::config::HttpClient;
use aws_sdk_dynamodb::config::RuntimeComponents;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_sdk_dynamodb::config::http::HttpRequest;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::http::HttpConnectorFuture;
use aws_smithy_runtime_api::client::http::HttpConnectorSettings;
use aws_smithy_runtime_api::client::http::SharedHttpConnector;
use aws_smithy_runtime_api::client::result::ConnectorError;

use self::answers::Refusal;
use self::request::Asked;
use crate::testkit::dynamodb::DynamoFault;
use crate::testkit::dynamodb::DynamoFaults;
use crate::testkit::dynamodb::Refused;
use crate::testkit::dynamodb::Strike;

/// A transaction that is said to be under way arrives within so many milliseconds.
const LATEST: u64 = 20;

impl DynamoFaults {
    /// Lets the requests of a client of your own pass the faults too: tests of code beside the store, and baselines.
    #[must_use]
    pub fn behind(&self, network: impl HttpClient + 'static) -> SharedHttpClient {
        SharedHttpClient::new(FaultyClient {
            inner: SharedHttpClient::new(network),
            faults: self.clone(),
        })
    }
}

#[derive(Debug)]
struct FaultyClient {
    inner: SharedHttpClient,
    faults: DynamoFaults,
}

impl HttpClient for FaultyClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(FaultyConnector {
            inner: self.inner.http_connector(settings, components),
            faults: self.faults.clone(),
        })
    }
}

#[derive(Clone, Debug)]
struct FaultyConnector {
    inner: SharedHttpConnector,
    faults: DynamoFaults,
}

impl HttpConnector for FaultyConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let this = self.clone();
        HttpConnectorFuture::new(async move { this.pass(request).await })
    }
}

impl FaultyConnector {
    async fn pass(self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let asked = Asked::read(&request);
        let items = asked.items.len();
        self.faults.sent(&asked.operation, items, asked.written());
        if self.faults.manner().forgets_tokens {
            request::forget_token(&mut request)?;
        }
        match self.faults.strike(&asked.operation) {
            None => self.forward(request, &asked).await,
            Some(strike) => self.struck(request, &asked, strike).await,
        }
    }

    async fn struck(
        self,
        request: HttpRequest,
        asked: &Asked,
        strike: Strike,
    ) -> Result<HttpResponse, ConnectorError> {
        match strike.fault {
            DynamoFault::LostRequest => return Err(answers::lost()),
            DynamoFault::ServerError if strike.count.is_multiple_of(2) => {
                return Refusal::Failed.answer(asked, strike);
            }
            DynamoFault::TransactionInProgress => {
                let (this, asked_too) = (self.clone(), asked.clone());
                let after = Duration::from_millis(strike.random % LATEST);
                self.faults.later(async move {
                    tokio::time::sleep(after).await;
                    // Nobody is there any more to be told.
                    let _ = this.forward(request, &asked_too).await;
                });
                return Refusal::InProgress.answer(asked, strike);
            }
            _ => {}
        }
        if let Some(refusal) = Refusal::of(strike.fault) {
            return refusal.answer(asked, strike);
        }
        let answer = self.forward(request, asked).await?;
        match strike.fault {
            DynamoFault::LostReply => {
                body::whole(answer).await?;
                Err(answers::lost())
            }
            DynamoFault::ServerError => {
                body::whole(answer).await?;
                Refusal::Failed.answer(asked, strike)
            }
            DynamoFault::PartialBatch => {
                let (answer, content) = body::whole(answer).await?;
                Ok(answers::partial(answer, &content, asked, strike.random))
            }
            DynamoFault::SlowBody => {
                let (answer, content) = body::whole(answer).await?;
                Ok(body::slowly(answer, content, self.faults.manner().slow))
            }
            _ => Ok(answer),
        }
    }

    /// Hands a request on, in its turn where items are busy.
    async fn forward(&self, request: HttpRequest, asked: &Asked) -> Result<HttpResponse, ConnectorError> {
        let items = asked.items.iter().map(|item| item.name.clone()).collect();
        let turn = match self.faults.turn(items).await {
            Ok(turn) => turn,
            Err(item) => return answers::meets(asked, &item),
        };
        let busy = self.faults.busies(&asked.operation);
        let (answer, ()) = tokio::join!(self.answer(request, asked), tokio::time::sleep(busy));
        drop(turn);
        answer
    }

    async fn answer(&self, request: HttpRequest, asked: &Asked) -> Result<HttpResponse, ConnectorError> {
        match self.faults.answered(&asked.operation, &asked.content) {
            None => self.inner.call(request).await,
            Some(Ok(content)) => answers::done(&content),
            Some(Err(Refused { error, content })) => answers::refused(error, content),
        }
    }
}
