#!/bin/sh
# Starts lotmq in place of the MQTT broker of Oktopus: makes a configuration of that broker's environment variables, starts the broker, and hands the
# guest for logins its settings. docs/oktopus.md lists the variables.
#
# Runs in the shell of busybox or any other POSIX shell, with no program beside it.
set -eu

fail() {
    printf 'error: %s\n' "$1" >&2
    exit 1
}

# A truth value as the Go broker reads it: `truth NAME DEFAULT`.
truth() {
    eval "value=\${$1:-$2}"
    case $value in
        1 | t | T | true | TRUE | True) echo true ;;
        0 | f | F | false | FALSE | False) echo false ;;
        *) fail "$1 is '$value'; true or false" ;;
    esac
}

# The port of an address such as ':1883' or '0.0.0.0:1883': `port NAME DEFAULT`.
port() {
    eval "value=\${$1:-$2}"
    value=${value##*:}
    case $value in
        '' | *[!0-9]*) fail "$1 is '$value'; a port such as :1883" ;;
        *) echo "$value" ;;
    esac
}

# Control characters have no place in a setting: `printable NAME…`.
printable() {
    for name in "$@"; do
        eval "value=\${$name:-}"
        case $value in *[[:cntrl:]]*) fail "$name has a control character" ;; esac
    done
}

# A text in JSON and TOML, in quotation marks.
quoted() {
    left=$1 text=
    while [ -n "$left" ]; do
        rest=${left#?}
        next=${left%"$rest"}
        case $next in '"' | \\) text="$text\\$next" ;; *) text="$text$next" ;; esac
        left=$rest
    done
    printf '"%s"' "$text"
}

# Place and login of the first server of NATS_URL.
read_nats() {
    url=${NATS_URL:-nats://localhost:4222}
    case $url in *,*) echo "warning: of the servers in NATS_URL only the first is used" >&2 ;; esac
    url=${url%%,*}
    nats_tls=$(truth NATS_ENABLE_TLS false)
    case $url in
        tls://*) nats_tls=true ;;
        nats://* | natss://*) ;;
        *://*) fail "NATS_URL is no URL of NATS" ;;
        *) url=nats://$url ;;
    esac
    place=${url#*://}
    place=${place%%/*}
    nats_login=
    case $place in
        *@*)
            login=${place%@*}
            place=${place##*@}
            case $login in
                *:*) nats_login=",\"nats_user\":$(quoted "${login%%:*}"),\"nats_password\":{\"secret\":\"NATS_PASSWORD\"}"
                    nats_password=${login#*:} ;;
                *) nats_login=",\"nats_token\":{\"secret\":\"NATS_PASSWORD\"}"
                    nats_password=$login ;;
            esac
            ;;
    esac
    case $place in
        \[*\]:*) nats_port=${place##*]:} nats_host=${place%%]*} nats_host=${nats_host#[} ;;
        \[*\]) nats_port=4222 nats_host=${place#[} nats_host=${nats_host%]} ;;
        *:*) nats_port=${place##*:} nats_host=${place%:*} ;;
        *) nats_port=4222 nats_host=$place ;;
    esac
    case $nats_port in '' | *[!0-9]*) fail "NATS_URL has no port" ;; esac
    case $nats_host in *:*) nats_place="[$nats_host]:$nats_port" ;; *) nats_place=$nats_host:$nats_port ;; esac
}

# Settings of the guest.
guest_config() {
    endpoint="\"HOST\":$(quoted "$nats_host"),\"PORT\":$nats_port"
    if [ "$nats_tls" = true ]; then
        endpoint="$endpoint,\"USE_STARTTLS\":true"
        [ "$verify" = true ] || endpoint="$endpoint,\"ALLOW_UNTRUSTED_CERTS\":true"
        [ -z "${SERVER_CA:-}" ] || endpoint="$endpoint,\"SERVER_CA_CERT_PATH\":$(quoted "$SERVER_CA")"
        [ -z "${CLIENT_CRT:-}" ] || endpoint="$endpoint,\"CLIENT_CERT_PATH\":$(quoted "$CLIENT_CRT")"
        [ -z "${CLIENT_KEY:-}" ] || endpoint="$endpoint,\"CLIENT_KEY_PATH\":$(quoted "$CLIENT_KEY")"
    fi
    printf '{"auth":%s,"mode":%s,"certificates":%s%s,"endpoints":{"nats":{%s}}}' \
        "$auth" "$(quoted "${OKTOPUS_MODE:-strict}")" "$certificates" "$nats_login" "$endpoint"
}

# Places that the guest may use: this machine if NATS is there, and the folders of its certificates.
routes_config() {
    printf '[routes]\n'
    case $nats_host in localhost | 127.* | ::1) printf 'allow_loopback = true\n' ;; esac
    roots=
    for file in "${SERVER_CA:-}" "${CLIENT_CRT:-}" "${CLIENT_KEY:-}"; do
        case $file in
            '') continue ;;
            /*/*) folder=$(quoted "${file%/*}") ;;
            *) fail "SERVER_CA, CLIENT_CRT and CLIENT_KEY are absolute paths of files in a folder" ;;
        esac
        case $roots in *"$folder"*) ;; *) roots="$roots${roots:+, }$folder" ;; esac
    done
    [ "$nats_tls" = false ] || printf 'file_roots = [%s]\n' "$roots"
}

# Configuration of the broker.
broker_config() {
    bind='["0.0.0.0", "::"]'
    printf '[auth]\nmodules = ["oktopus", "builtin"]\nanonymous = false\n'
    printf '[log]\ndebug = %s\n' "$debug"
    if [ "$no_tls" = true ]; then mqtt=$mqtt_port; else mqtt='"off"'; fi
    printf '[listener.mqtt]\nport = %s\nbind = %s\n' "$mqtt" "$bind"
    printf '[listener.unix]\npath = %s\nauth_modules = ["builtin"]\n' "$(quoted "$data/oktopus.sock")"
    if [ "$ws_enable" = true ]; then ws=$ws_port; else ws='"off"'; fi
    printf '[listener.ws]\nport = %s\nbind = %s\n' "$ws" "$bind"
    if [ "$tls" = true ]; then
        printf '[tls]\ncertificate = %s\nkey = %s\n' "$(quoted "$FULL_CHAIN_PATH")" "$(quoted "$PRIVATE_KEY_PATH")"
        [ -z "${CLIENT_CA_PATH:-}" ] || printf 'client_ca = %s\n' "$(quoted "$CLIENT_CA_PATH")"
        printf '[listener.mqtts]\nport = %s\nbind = %s\n' "$tls_port" "$bind"
        printf '[listener.wss]\nport = "off"\n'
    fi
    routes_config
    if [ "$http_enable" = true ]; then
        printf '[admin]\nhealth_port = %s\nbind = %s\n' "$http_port" "$bind"
    fi
}

# Password of root, by which this script hands over the settings: that of the environment, or a random one in the data folder.
root_password() {
    file=$data/oktopus.password
    if [ -z "${LOTMQ_ROOT_PASSWORD:-}" ] && [ ! -f "$file" ]; then
        (umask 077 && IFS= read -r id </proc/sys/kernel/random/uuid && printf '%s\n' "$id" >"$file")
    fi
    if [ -z "${LOTMQ_ROOT_PASSWORD:-}" ]; then IFS= read -r LOTMQ_ROOT_PASSWORD <"$file"; fi
    export LOTMQ_ROOT_PASSWORD
}

command_of_root() {
    lotmq cmd --unix "$data/oktopus.sock" "$@"
}

# Hands the guest its settings as soon as the broker answers.
hand_over() {
    until command_of_root -listModules >/dev/null 2>&1; do
        kill -0 "$broker" 2>/dev/null || return 1
        pause
    done
    [ -z "${nats_password:-}" ] || command_of_root "-setSecret NATS_PASSWORD=$nats_password" >/dev/null || return 1
    config=$(guest_config) || return 1
    command_of_root --file "$guest" -addModule oktopus -world auth -replace -net "$nats_place" \
        -grant "write:oktopus/usp/v1/status/+" -grant secret-read:NATS_PASSWORD -config "$config" >/dev/null
}

pause() {
    if [ -x /bin/busybox ]; then /bin/busybox sleep 1; else sleep 1; fi
}

data=${STATE_DIRECTORY:-/var/lib/lotmq}
# The guest, in the form that -addModule takes.
guest=${OKTOPUS_GUEST:-/usr/lib/lotmq/oktopus.wasm64}
printable STATE_DIRECTORY FULL_CHAIN_PATH PRIVATE_KEY_PATH CLIENT_CA_PATH NATS_URL SERVER_CA CLIENT_CRT CLIENT_KEY OKTOPUS_MODE
auth=$(truth AUTH_ENABLE false)
tls=$(truth MQTT_TLS false)
no_tls=$(truth MQTT_NO_TLS true)
ws_enable=$(truth WS_ENABLE false)
ws_port=$(port WS_PORT :80)
http_enable=$(truth HTTP_ENABLE false)
http_port=$(port HTTP_PORT :8080)
tls_port=$(port MQTT_TLS_PORT :8883)
verify=$(truth NATS_VERIFY_CERTIFICATES true)
certificates=$(truth OKTOPUS_CERTIFICATES false)
mqtt_port=$(port MQTT_PORT :1883)
if [ "$tls" = true ] && { [ -z "${FULL_CHAIN_PATH:-}" ] || [ -z "${PRIVATE_KEY_PATH:-}" ]; }; then
    fail "MQTT_TLS is on, and FULL_CHAIN_PATH or PRIVATE_KEY_PATH is not set"
fi
case ${LOG_LEVEL:-1} in
    0) debug=true ;;
    1) debug=false ;;
    2 | 3) debug=false level=$([ "$LOG_LEVEL" = 2 ] && echo warn || echo error) && export LOTMQ_LOG="${LOTMQ_LOG:-$level}" ;;
    *) fail "LOG_LEVEL is '$LOG_LEVEL'; 0 for debug, 1 for info, 2 for warnings, 3 for errors" ;;
esac
read_nats
config=$(broker_config)
printf '%s\n' "$config" >"$data/oktopus.toml"
guest_config >/dev/null
root_password
# With one argument, `check`, it ends here.
[ "${1:-}" != check ] || exec lotmq config check "$data/oktopus.toml"

lotmq serve --config "$data/oktopus.toml" --data "$data" &
broker=$!
is_ending=false
trap 'is_ending=true; kill -TERM "$broker" 2>/dev/null' TERM INT
trap 'kill -HUP "$broker" 2>/dev/null' HUP
if ! hand_over && [ "$is_ending" = false ]; then
    if kill -0 "$broker" 2>/dev/null; then
        echo "error: the settings of the guest were not handed over; is LOTMQ_ROOT_PASSWORD the password of root?" >&2
        kill -TERM "$broker" 2>/dev/null || true
    fi
    wait "$broker" || true
    exit 1
fi
# A signal ends the wait early.
status=0
wait "$broker" || status=$?
while kill -0 "$broker" 2>/dev/null; do
    status=0
    wait "$broker" || status=$?
done
exit "$status"
