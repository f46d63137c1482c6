//! A desk in front of the service that writes down what is asked, and answers some of it in the service's place: what the
//! local engine does not know, such as backups and regions, is shown by what is sent and by replies as documented.

use std::sync::Arc;
use std::sync::Mutex;

use serde_json::Value;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::io::BufReader;
use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Answers a question itself: status and body.
type Answer = Box<dyn Fn(&Value) -> Option<(u16, Value)> + Send + Sync>;

/// Changes what the service has answered.
type Overlay = Box<dyn Fn(&mut Value) + Send + Sync>;

/// A question that was asked.
#[derive(Clone, Debug)]
pub(super) struct Call {
    /// Such as `PutItem`.
    pub(super) operation: String,
    pub(super) body: Value,
}

#[derive(Default)]
struct Book {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<Vec<(String, Answer)>>,
    overlays: Mutex<Vec<(String, Overlay)>>,
}

/// The desk; it closes when it is dropped.
pub(super) struct Desk {
    url: String,
    book: Arc<Book>,
    task: JoinHandle<()>,
}

impl Desk {
    /// In front of a server.
    pub(super) async fn before(url: &str) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let book = Arc::new(Book::default());
        let own = book.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, book) = (target.clone(), own.clone());
                // A connection that breaks is the client's to notice.
                tokio::spawn(async move { serve(client, &target, &book).await.ok() });
            }
        });
        Self { url, book, task }
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    /// Answers an operation itself, where `answer` gives something.
    pub(super) fn answer(
        &self,
        operation: &str,
        answer: impl Fn(&Value) -> Option<(u16, Value)> + Send + Sync + 'static,
    ) {
        let mut answers = self.book.answers.lock().unwrap();
        answers.push((operation.to_owned(), Box::new(answer)));
    }

    /// Changes what the service answers to an operation.
    pub(super) fn overlay(&self, operation: &str, change: impl Fn(&mut Value) + Send + Sync + 'static) {
        let mut overlays = self.book.overlays.lock().unwrap();
        overlays.push((operation.to_owned(), Box::new(change)));
    }

    /// What was asked so far.
    pub(super) fn calls(&self) -> Vec<Call> {
        self.book.calls.lock().unwrap().clone()
    }

    /// The bodies of what was asked of an operation.
    pub(super) fn asked(&self, operation: &str) -> Vec<Value> {
        let calls = self.calls().into_iter();
        let of = calls.filter(|call| call.operation == operation);
        of.map(|call| call.body).collect()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A message of HTTP: its head as it came, and its body.
struct Message {
    head: String,
    body: Vec<u8>,
}

impl Message {
    async fn read(stream: &mut (impl tokio::io::AsyncBufRead + Unpin)) -> std::io::Result<Option<Self>> {
        let mut head = String::new();
        loop {
            let before = head.len();
            if stream.read_line(&mut head).await? == 0 {
                return Ok(None);
            }
            if head.len() - before == 2 {
                break;
            }
        }
        let message = Self {
            head,
            body: Vec::new(),
        };
        let mut body = Vec::new();
        if let Some(length) = message.header("content-length") {
            body.resize(length.parse().unwrap(), 0);
            stream.read_exact(&mut body).await?;
        } else if message.header("transfer-encoding").is_some() {
            loop {
                let mut size = String::new();
                stream.read_line(&mut size).await?;
                let size = usize::from_str_radix(size.trim(), 16).unwrap();
                let begin = body.len();
                body.resize(begin + size, 0);
                stream.read_exact(&mut body[begin..]).await?;
                stream.read_line(&mut String::new()).await?;
                if size == 0 {
                    break;
                }
            }
        }
        Ok(Some(Self { body, ..message }))
    }

    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(':'));
        let found = lines.find(|(own, _)| own.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.trim())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

async fn serve(client: TcpStream, target: &str, book: &Book) -> std::io::Result<()> {
    let mut client = BufReader::new(client);
    while let Some(question) = Message::read(&mut client).await? {
        let operation = question.header("x-amz-target").unwrap_or_default();
        let operation = operation.rsplit('.').next().unwrap_or_default().to_owned();
        let body = question.json();
        book.calls.lock().unwrap().push(Call {
            operation: operation.clone(),
            body: body.clone(),
        });
        let own = {
            let answers = book.answers.lock().unwrap();
            let mut of = answers.iter().filter(|(of, _)| *of == operation);
            of.find_map(|(_, answer)| answer(&body))
        };
        let (status, answer) = match own {
            Some(own) => own,
            None => {
                let (status, mut answer) = forward(&question, target).await?;
                let overlays = book.overlays.lock().unwrap();
                for (_, change) in overlays.iter().filter(|(of, _)| *of == operation) {
                    change(&mut answer);
                }
                (status, answer)
            }
        };
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} Answer\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        client.write_all(head.as_bytes()).await?;
        client.write_all(body.as_bytes()).await?;
    }
    Ok(())
}

async fn forward(question: &Message, target: &str) -> std::io::Result<(u16, Value)> {
    let mut service = BufReader::new(TcpStream::connect(target).await?);
    service.write_all(question.head.as_bytes()).await?;
    service.write_all(&question.body).await?;
    let answer = Message::read(&mut service).await?;
    let answer = answer.ok_or(std::io::ErrorKind::UnexpectedEof)?;
    let status = answer
        .head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.unwrap_or(500), answer.json()))
}
