//! Redis behind TLS: only a server that an authority vouches for is spoken to.

use std::path::Path;
use std::process::Command;

use stockroom::ErrorKind;
use stockroom::RedisCache;
use stockroom::RedisOptions;
use stockroom::testkit::engines;
use stockroom::testkit::engines::RedisTls;

use super::servers::comes_back;
use super::servers::shop;
use super::servers::works;

/// An authority, and a certificate of it for this machine, made for the test.
struct Certificates {
    folder: std::path::PathBuf,
}

impl Certificates {
    fn make() -> Self {
        let folder = std::env::temp_dir().join(format!("stockroom-tls-{}", uuid::Uuid::now_v7().simple()));
        std::fs::create_dir(&folder).unwrap();
        let subject = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ];
        let new = |name: &str, more: &[&str]| {
            let files = [
                "-keyout".to_owned(),
                format!("{name}.key"),
                "-out".to_owned(),
                format!("{name}.crt"),
            ];
            let openssl = Command::new("openssl")
                .args(["req", "-x509"])
                .args(subject)
                .args(files)
                .args(more)
                .current_dir(&folder)
                .output();
            let output = openssl.unwrap();
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        };
        new("authority", &["-subj", "/CN=stockroom tests"]);
        new("stranger", &["-subj", "/CN=somebody else"]);
        let for_here = [
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=IP:127.0.0.1,DNS:localhost",
        ];
        let not_an_authority = ["-addext", "basicConstraints=critical,CA:FALSE"];
        let signed = ["-CA", "authority.crt", "-CAkey", "authority.key"];
        new(
            "server",
            &[for_here.as_slice(), &not_an_authority, &signed].concat(),
        );
        // The server runs as somebody else where the tests run as root.
        open_to_all(&folder, 0o755);
        open_to_all(&folder.join("server.key"), 0o644);
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.folder.join(name)).unwrap()
    }
}

impl Drop for Certificates {
    fn drop(&mut self) {
        // A folder of the system's for such things: what stays there is removed by it.
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

fn open_to_all(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redis_behind_tls_is_believed_with_its_authority_alone() {
    let made = Certificates::make();
    let (certificate, key, authority) = (
        made.path("server.crt"),
        made.path("server.key"),
        made.path("authority.crt"),
    );
    let arguments = [
        "--tls-cert-file",
        &certificate,
        "--tls-key-file",
        &key,
        "--tls-ca-cert-file",
        &authority,
        "--tls-auth-clients",
        "no",
        "--requirepass",
        "secret-word",
    ];
    let server = engines::require(RedisTls::start_with(&arguments).await).unwrap();
    let Some(server) = server else { return };
    let url = format!("rediss://:secret-word@{}", server.address());

    // Neither the system's authorities nor a stranger vouch for it.
    for options in [
        RedisOptions::new(&url),
        RedisOptions::new(&url).authority(made.read("stranger.crt")),
    ] {
        let error = RedisCache::connect(options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        assert!(!format!("{error:?}").contains("secret-word"), "{error:?}");
    }
    let plain = format!("redis://:secret-word@{}", server.address());
    RedisCache::connect(plain.as_str()).await.unwrap_err();

    let options = RedisOptions::new(&url).authority(made.read("authority.crt"));
    let cache = RedisCache::connect(options).await.unwrap();
    let (shop, mut mug) = shop(std::sync::Arc::new(cache)).await;
    works(&shop, &mut mug).await;
    comes_back(&shop, &mug).await;
    server.kill().unwrap();
    works(&shop, &mut mug).await;
    server.restart().unwrap();
    comes_back(&shop, &mug).await;
    works(&shop, &mut mug).await;
    shop.close().await;
}
