"""Examples of every command: each option is in one of them. They are parsed by a test, and printed in docs/cli.md."""

from collections.abc import Mapping

_MEDIA_ID = "med_01h455vb4pex5vsknk084sn02q"
_JOB_ID = "job_01h455vb4pex5vsknk084sn02q"
_SYSTEM = "--data .bitmill --json"

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "video": (
        "ittybit video -i clip.mov -o clip-hd.mp4 --width 1920 --quality high",
        "ittybit video --input https://example.com/clip.mov --format webm --height 720 --cloud --async",
        "ittybit video -i '*.mov' --output web/ --width 1280 --local --force",
        "ittybit video -i clip.mov --start 2.5 --end 10 --background '#ffffff' --tty --debug",
        "ittybit video -i s3://uploads/clip.mov -o s3://processed/clip-hd.mp4 --connection store",
        "ittybit video -i clip.mov --metadata user_id=usr_7 --webhook-url https://example.com/hook --priority high",
        "ittybit video -i clip.mov --width 640 --height 640 --fit cover --codec h265 --fps 30 --no-audio",
        "ittybit video -i clip.mov --json --frames 100 --subtitle-url https://example.com/clip.vtt --mute",
    ),
    "image": (
        "ittybit image -i clip.mov -o clip-thumb.webp --start 2 --width 640",
        "ittybit image --input photo.png --format avif --quality medium --height 480 --background '#fff'",
        "ittybit image -i a.png b.png --output thumbs/ --width 320 --fit contain --force --local --tty --debug",
        "ittybit image -i https://example.com/a.png --metadata user_id=usr_7 --priority low --cloud --async --json",
        "ittybit image -i s3://uploads/a.png -o s3://processed/ --connection store --webhook-url https://example.com/hook",
    ),
    "audio": (
        "ittybit audio -i clip.mov -o clip.mp3 --quality high --start 30 --end 60 --target-lufs -16",
        "ittybit audio --input talk.wav --output talk.opus --format opus --cloud --async --json --force",
        "ittybit audio -i s3://uploads/talk.wav -o s3://processed/talk.mp3 --connection store --metadata show=7",
        "ittybit audio -i talk.wav --webhook-url https://example.com/hook --priority low --tty --debug",
        "ittybit audio -i talk.wav --local",
    ),
    "animation": (
        "ittybit animation -i clip.mov -o clip.gif --start 1 --end 4 --fps 12 --width 320",
        "ittybit animation --input clip.mov --output a.webp --format webp --end 3 --quality low --height 240",
        "ittybit animation -i clip.mov --end 3 --fit cover --background '#000' --cloud --async --json --metadata a=b",
        "ittybit animation -i s3://uploads/a.mov --end 3 -o s3://processed/a.gif --connection store --priority low",
        "ittybit animation -i clip.mov --end 3 --webhook-url https://example.com/hook --tty --debug",
        "ittybit animation -i clip.mov --end 3 --local --force",
    ),
    "adaptive": (
        "ittybit adaptive -i clip.mov -o s3://processed/clip/master.m3u8 --connection store --quality high",
        "ittybit adaptive --input clip.mov --output clip.m3u8 --format hls --start 1 --end 60 --mute-video --local",
        "ittybit adaptive -i clip.mov --subtitle https://example.com/en.vtt --subtitle-label English --cloud --async",
        "ittybit adaptive -i clip.mov --encryption aes-128 --key-url https://example.com/key --metadata a=b --json",
        "ittybit adaptive -i clip.mov --webhook-url https://example.com/hook --priority low --force --tty --debug",
    ),
    "task": (
        """ittybit task probe -i '{"url": "file:///videos/clip.mov"}' --local --json""",
        """ittybit task video --input '{"url": "https://example.com/a.mov"}' --width 640 --height 360 --async""",
        """ittybit task image -i - --output thumb.webp --fit cover --background '#fff' --start 1 --force""",
        """ittybit task video -i - --end 5 --format mp4 --quality low --options '{"fps": 30}' --cloud --tty --debug""",
        "ittybit task export -i - -o s3://processed/clip.mp4 --connection store",
    ),
    "upload": ("ittybit upload clip.mov", "ittybit upload '*.mov' --json", "ittybit upload clip.mov --tty"),
    "jobs list": (
        "ittybit jobs --status failed --kind video --limit 50",
        "ittybit jobs list --metadata user_id=usr_7 --created-after 2026-11-01 --created-before 2026-12-01",
        f"ittybit jobs list --input https://example.com/clip.mov --after {_JOB_ID} --order asc --json",
        f"ittybit jobs list --before {_JOB_ID} --tty",
    ),
    "jobs get": (f"ittybit jobs {_JOB_ID}", f"ittybit jobs get {_JOB_ID} --json", f"ittybit jobs get {_JOB_ID} --tty"),
    "jobs create": (
        """ittybit jobs create --body '{"input": "https://example.com/clip.mov", "kind": "video"}' -o clip.mp4""",
        "ittybit jobs create --body - --async --json",
        "ittybit jobs create --body - --output clip.mp4 --force --tty",
    ),
    "jobs cancel": (f"ittybit jobs cancel {_JOB_ID} --json", f"ittybit jobs cancel {_JOB_ID} --tty"),
    "jobs retry": (
        f"ittybit jobs retry {_JOB_ID} --async --json",
        f"ittybit jobs retry {_JOB_ID} -o clip.mp4 --force --tty",
        f"ittybit jobs retry {_JOB_ID} --output clip.mp4",
    ),
    "jobs watch": (
        f"ittybit jobs watch {_JOB_ID} --json",
        f"ittybit jobs watch {_JOB_ID} -o clip.mp4 --force --tty",
        f"ittybit jobs watch {_JOB_ID} --output clip.mp4",
    ),
    "jobs inspect": (f"ittybit jobs inspect {_JOB_ID} {_SYSTEM}",),
    "media list": (
        "ittybit media --kind video --sort duration --order asc --limit 50 --page 2",
        "ittybit media list --metadata user_id=usr_7 --json",
        "ittybit media list --tty",
    ),
    "media get": (f"ittybit media {_MEDIA_ID} --json", f"ittybit media get {_MEDIA_ID} --tty"),
    "media create": (
        "ittybit media create -i clip.mov --title Holiday --folder videos/2026 --filename clip.mov --overwrite",
        "ittybit media create --input https://example.com/clip.mov --metadata user_id=usr_7 --json",
        "ittybit media create -i clip.mov --tty",
    ),
    "media update": (
        f"ittybit media update {_MEDIA_ID} --title Holiday --folder videos --overwrite --metadata user_id=",
        f"ittybit media update {_MEDIA_ID} --clear-metadata --tty",
        f"ittybit media update {_MEDIA_ID} --title Holiday --json",
    ),
    "media delete": (f"ittybit media delete {_MEDIA_ID} --json", f"ittybit media delete {_MEDIA_ID} --tty"),
    "connections list": (
        "ittybit connections",
        "ittybit connections list --local --json",
        "ittybit connections list --cloud --tty",
    ),
    "connections get": (
        "ittybit connections get store --json",
        "ittybit connections get store --local --tty",
        "ittybit connections get store --cloud",
    ),
    "connections add": (
        "ittybit connections add s3 --name store --region eu-west-1 --access-key-id AKIA7 --secret-access-key -",
        "ittybit connections add s3 --name minio --endpoint https://minio.example --access-key-id a --local --default",
        "ittybit connections add s3 --name store --access-key-id AKIA7 --cloud --tty",
        "ittybit connections add s3 --name store --access-key-id AKIA7 --json",
    ),
    "connections update": (
        "ittybit connections update store --name archive --region eu-central-1 --default --json",
        "ittybit connections update store --access-key-id AKIA8 --secret-access-key - --tty --cloud",
        "ittybit connections update minio --endpoint https://minio.example.com --local",
    ),
    "connections delete": (
        "ittybit connections delete store --json",
        "ittybit connections delete store --local --tty",
        "ittybit connections delete store --cloud",
    ),
    "webhooks listen": (
        "ittybit webhooks listen --port 8989 --host 0.0.0.0 --secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "ittybit webhooks listen --count 1 --json",
        "ittybit webhooks listen --tty",
    ),
    "health": ("ittybit health", "ittybit health --json", "ittybit health --tty"),
    "login": ("ittybit login --url https://media.example.com", "ittybit login --key - < key.txt"),
    "logout": ("ittybit logout",),
    "completion": (
        'eval "$(ittybit completion bash)"',
        "ittybit completion zsh --install ~/.zsh/completions/_ittybit",
        "ittybit completion fish --install ~/.config/fish/completions/ittybit.fish",
    ),
    "up": (
        "bitmill up --port 8081 --data /srv/bitmill --allow-net 10.0.0.0/8",
        "bitmill up --host 0.0.0.0 --public-url https://media.example.com --max-log-bytes 1048576 --log-format json",
    ),
    "serve": ("bitmill serve transcoder",),
    "migrate": (
        "bitmill migrate --check",
        "bitmill migrate ingest --data .bitmill --wait 2m",
        "bitmill migrate --roles",
    ),
    "gateway": ("bitmill gateway",),
    "keys create": (f"bitmill keys create --name website --project shop {_SYSTEM}",),
    "keys list": (f"bitmill keys list --project shop {_SYSTEM}",),
    "keys revoke": (f"bitmill keys revoke key_01h455vb4pex5vsknk084sn02q {_SYSTEM}",),
    "kafka client": ("bitmill kafka client --data .bitmill --format librdkafka",),
    "kafka acls": ("bitmill kafka acls ingest --principal 'User:CN={role}'",),
    "projects list": (f"bitmill projects list {_SYSTEM}",),
    "projects set": (
        f"bitmill projects set shop --delivery signed --strip on {_SYSTEM}",
        f"bitmill projects set shop --rate-limit 6000 --key-rate-limit 600 {_SYSTEM}",
        f"bitmill projects set shop --max-unfinished-jobs 5000 --max-unfinished-imports 500 {_SYSTEM}",
        f"bitmill projects set shop --retain-jobs 7d {_SYSTEM}",
    ),
    "projects rotate-secret": (f"bitmill projects rotate-secret shop --overlap 24h {_SYSTEM}",),
    "dlq list": (f"bitmill dlq list --topic job.created --since 24h --limit 20 {_SYSTEM}",),
    "dlq show": (f"bitmill dlq show job.created/0/17 --unmasked {_SYSTEM}",),
    "dlq replay": (
        f"bitmill dlq replay job.created/0/17 --again {_SYSTEM}",
        "bitmill dlq replay --topic job.created --all --limit 100 --yes",
    ),
    "dlq drop": (f"bitmill dlq drop job.created/0/17 {_SYSTEM}", "bitmill dlq drop --topic job.created --all --yes"),
    "gc": (f"bitmill gc --older-than 48h {_SYSTEM}", "bitmill gc --delete --force --storage s3://bucket/prefix"),
    "settings": ("bitmill settings catalog",),
}
"""By the command's words. A shell's own parts (`eval "$(…)"`, `< file`) are left out when they are parsed."""
