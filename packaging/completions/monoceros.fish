# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_monoceros_global_optspecs
    string join \n paste= paste-global= chdir= pythonpath= python= e/env= b/bind= backlog= unix-mode= unix-group= w/workers= k/worker-class= ready-after= preload threads= worker-connections= t/timeout= shutdown-delay= graceful-timeout= drain-idle= boot-timeout= max-surge= max-unavailable= min-ready-seconds= progress-deadline= upgrade-timeout= max-requests= max-requests-jitter= max-lifetime= max-lifetime-jitter= max-rss= keep-alive= header-timeout= body-timeout= write-timeout= response-memory= response-disk= limit-request-line= limit-request-fields= limit-request-field-size= response-headers= server-header request-id-header= compress= compress-types= compress-min-length= compress-level= access= allowed-hosts= allowed-hosts-empty= limit-rate= limit-connections= limit-request-body= limit-request-spool= queue-timeout= debug-guard= static= static-immutable= static-max-age= static-fallthrough static-follow-links accel= certfile= keyfile= certificates= ca-certs= cert-reqs= tls-minimum-version= ciphers= tls-strict-sni tls-handshake-timeout= tls-client-cert-environ redirect-https acme-webroot= hsts= do-handshake-on-connect suppress-ragged-eofs ssl-version= forwarded-allow-ips= secure-scheme-headers= forwarder-headers= header-map= proxy-protocol= proxy-allow-ips= real-ip= n/name= D/daemon p/pid= u/user= g/group= initgroups m/umask= metrics= metrics-allow= metrics-path= health-path= metrics-application statsd-host= statsd-prefix= dogstatsd-tags= enable-backlog-metric log-level= error-logfile= access-logfile= access-logformat= access-log-exclude= access-log-sample= log-format= log-syslog log-syslog-to= log-syslog-prefix= log-syslog-facility= disable-redirect-access-to-syslog log-config= log-config-json= logger-class= slow-request= slow-logfile= capture-output reload reload-extra-file= reload-engine= development c/config= check-config print-config h/help V/version
end

function __fish_monoceros_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_monoceros_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_monoceros_using_subcommand
    set -l cmd (__fish_monoceros_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c monoceros -n "__fish_monoceros_needs_command" -l paste -l paster -d 'File of PasteDeploy that describes the application, in place of APP' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l paste-global -d 'Value for every section of the file of --paste; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l chdir -d 'Working directory of the server, to which it changes first' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_needs_command" -l pythonpath -d 'Directories to add to Python\'s module search path, separated by commas' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_needs_command" -l python -d 'The Python interpreter that runs the application' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -s e -l env -d 'Environment variable for the application; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s b -l bind -d 'Address to listen on; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l backlog -d 'Maximum number of connections that wait to be accepted, for each address' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l unix-mode -d 'Mode of the files of unix sockets, as octal digits with a leading zero' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l unix-group -d 'Group of the files of unix sockets, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s w -l workers -d 'Number of worker processes' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s k -l worker-class -d 'Kind of worker: wsgi or exec' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l ready-after -d 'Time after which a worker of class exec counts as ready' -r -f -a "notify\t'when it sends READY=1'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l threads -d 'Number of application threads in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l worker-connections -d 'Maximum number of open connections in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s t -l timeout -d 'Maximum time that the application may take to begin a response' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l shutdown-delay -d 'Time between SIGTERM and the drain, in which the server serves as before' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l graceful-timeout -d 'Maximum time for a draining worker to finish its requests' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l drain-idle -d 'Maximum time that a connection may be idle while its worker drains' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l boot-timeout -d 'Maximum time for a new worker to become ready' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-surge -d 'Maximum number of workers beyond --workers during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-unavailable -d 'Maximum number of workers that may be unavailable during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l min-ready-seconds -d 'Time that a new worker must stay ready before a rollout counts it' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l progress-deadline -d 'Maximum time of a reload without another new worker that serves' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l upgrade-timeout -d 'Maximum time for a new master to begin serving in an upgrade' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-requests -d 'Number of requests after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-requests-jitter -d 'Random addition to --max-requests, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-lifetime -d 'Time after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-lifetime-jitter -d 'Random addition to --max-lifetime, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l max-rss -d 'Memory above which a worker is replaced, such as 512M; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l keep-alive -d 'Maximum time that a connection may be idle before a request' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l header-timeout -d 'Maximum time for a client to send the head of a request' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l body-timeout -d 'Maximum time without progress while a request\'s body is received' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l write-timeout -d 'Maximum time without progress while a response is sent' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l response-memory -d 'Memory for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l response-disk -d 'Disk space for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-request-line -d 'Maximum length of the request line in bytes; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-request-fields -d 'Maximum number of headers in a request' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-request-field-size -l limit-request-field_size -d 'Maximum length of a header in bytes, from its name to the end of its line' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l response-headers -d 'Headers to add to each response that has none of that name; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l request-id-header -d 'The header that identifies a request; none uses no header' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l compress -d 'Codings in which the application\'s responses are compressed; none by default' -r -f -a "zstd\t'Zstandard (RFC 8878)'
gzip\t'gzip (RFC 1952)'
br\t'Brotli (RFC 7932)'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l compress-types -d 'Media types of responses that are compressed, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l compress-min-length -d 'Minimum length of a response to be compressed' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l compress-level -d 'How much time compression may take, as a word or a level' -r -f -a "fast\t'little time'
default\t'a level of each coding that suits responses'
best\t'few bytes'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l access -d 'Rules that allow or deny requests; the first one that matches decides' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l allowed-hosts -d 'Hosts for which requests are served, separated by commas; off allows all' -r -f -a "off\t'every host'
auto\t'those of ALLOWED_HOSTS in the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l allowed-hosts-empty -d 'What happens to requests that name no host, as those of HTTP/1.0 may' -r -f -a "refuse\t'it is answered 421'
allow\t'it is served'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-rate -d 'Limits for the requests of each client address; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-connections -d 'Maximum number of open connections of a client address; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-request-body -d 'Maximum length of a request\'s body, such as 10M; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l limit-request-spool -d 'Disk space for the bodies of requests, in all workers together' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l queue-timeout -d 'Maximum time that a request waits for an application thread; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l debug-guard -d 'What happens when the application shows its debugger to clients' -r -f -a "warn\t'the log has a warning'
refuse\t'the worker does not become ready'
off\t'no debugger is looked for'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l static -d 'Files that the server sends, as PREFIX=PATH, or auto; can be repeated' -r -f -a "none\t'no files'
auto\t'those of the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l static-immutable -d 'Regular expression for names of files that never change' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l static-max-age -d 'Time for which clients may keep a file without asking for it again' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l accel -d 'Directories of files that the application sends by a header; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l certfile -d 'File with a certificate, and the certificates of its issuers behind it, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l keyfile -d 'File with the private key of the certificate, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l certificates -d 'Further certificates: pairs of files, or directories as certbot lays them out' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_needs_command" -l ca-certs -d 'File with the certificates of the authorities that issue clients\' certificates' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l cert-reqs -d 'Whether a client must have a certificate' -r -f -a "none\t'no client is asked for a certificate'
optional\t'a client may have none, but not one that cannot be verified'
required\t'a client without a certificate that can be verified is refused'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l tls-minimum-version -d 'Lowest version of TLS that is accepted' -r -f -a "1.2\t'TLS 1.2 and 1.3'
1.3\t'TLS 1.3 only'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l ciphers -d 'Cipher suites, separated by colons or commas; the default is all of them' -r -f -a "TLS_AES_256_GCM_SHA384\t'TLS 1.3'
TLS_AES_128_GCM_SHA256\t'TLS 1.3'
TLS_CHACHA20_POLY1305_SHA256\t'TLS 1.3'
ECDHE-ECDSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-ECDSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-ECDSA-CHACHA20-POLY1305\t'TLS 1.2'
ECDHE-RSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-RSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-RSA-CHACHA20-POLY1305\t'TLS 1.2'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l tls-handshake-timeout -d 'Maximum time for the TLS handshake, and for a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l acme-webroot -d 'Directory with /.well-known/acme-challenge/, served on plain listeners' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_needs_command" -l hsts -d 'Time for which browsers use https only (Strict-Transport-Security)' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l ssl-version -d 'Accepted for gunicorn\'s configurations; it has no effect' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l forwarded-allow-ips -d 'Proxies whose headers are trusted, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l secure-scheme-headers -d 'Headers by which a trusted proxy reports that its client uses https' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l forwarder-headers -d 'Headers with an underscore that only trusted proxies may send' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l header-map -d 'What happens to other headers with an underscore in their name' -r -f -a "drop\t'the header is removed'
refuse\t'the request is answered 400'
dangerous\t'the header becomes the same variable as one with a dash in its name'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l proxy-protocol -d 'Whether connections begin with a header of the PROXY protocol' -r -f -a "off\t'no connection begins with a header'
auto\t'connections with and without a header are served'
v1\t'each connection begins with a header of version 1 (text)'
v2\t'each connection begins with a header of version 2 (binary)'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l proxy-allow-ips -l proxy-allow-from -d 'Proxies that may send a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l real-ip -d 'The header that names the client\'s address' -r -f -a "off\t'no header; the address is that of the connection'
x-forwarded-for\t'X-Forwarded-For'
forwarded\t'Forwarded (RFC 7239)'"
complete -c monoceros -n "__fish_monoceros_needs_command" -s n -l name -d 'Name in the titles of the processes' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s p -l pid -d 'File to write the process ID of the master to' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -s u -l user -d 'User to run the workers as, by name or number' -r -f -a "(__fish_complete_users)"
complete -c monoceros -n "__fish_monoceros_needs_command" -s g -l group -d 'Group to run the workers as, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -s m -l umask -d 'File mode creation mask of the server and the application' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l metrics -d 'Address for metrics, health checks and a status page; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l metrics-allow -d 'Clients that may read metrics, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l metrics-path -d 'Path of the metrics on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l health-path -d 'Path of a health check on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l statsd-host -d 'Address to send figures for StatsD to: HOST:PORT or unix://PATH' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l statsd-prefix -d 'What the names of figures for StatsD begin with; a dot is added' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l dogstatsd-tags -d 'Tags of DogStatsD for each figure, such as tag1:value1,tag2:value2' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-level -d 'Lowest level of messages in the error log' -r -f -a "debug\t'everything'
info\t'what happens'
warning\t'what may need attention'
error\t'what failed'
critical\t'what ends the server'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l error-logfile -l log-file -d 'File for the error log; - is standard error' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l access-logfile -d 'File for the access log, a line per request; - is standard output' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l access-logformat -d 'Format of a line in the access log' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l access-log-exclude -d 'Requests that the access log leaves out; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l access-log-sample -d 'The part of all requests that the access log has, from 0 to 1' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-format -d 'Format of the lines in the error log and the access log' -r -f -a "text\t'lines for people'
json\t'one JSON object in each line'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-syslog-to -d 'Address to send messages for syslog to' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-syslog-prefix -d 'The name of the program in messages for syslog' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-syslog-facility -d 'The facility of messages for syslog' -r -f -a "kern\t'the kernel'
user\t'programs of users'
mail\t'mail'
daemon\t'services'
auth\t'authorization'
syslog\t'syslog itself'
lpr\t'printers'
news\t'network news'
uucp\t'UUCP'
cron\t'clocks'
authpriv\t'authorization, private'
ftp\t'FTP'
local0\t'chosen by the operator'
local1\t'chosen by the operator'
local2\t'chosen by the operator'
local3\t'chosen by the operator'
local4\t'chosen by the operator'
local5\t'chosen by the operator'
local6\t'chosen by the operator'
local7\t'chosen by the operator'"
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-config -d 'File that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-config-json -d 'JSON file that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l logger-class -d 'The class of the logger in Python, with its module: shop.logs.Logger' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l slow-request -d 'Time after which a request is slow; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_needs_command" -l slow-logfile -d 'File for slow requests (--slow-request), instead of the error log' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l reload-extra-file -d 'Further file whose change reloads, with --reload; can be repeated' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l reload-engine -d 'How changes are noticed with --reload' -r -f -a "auto\t'the kernel reports changes, and polling is for files of which it cannot'
inotify\t'the kernel reports changes (inotify(7)), also on network file systems'
poll\t'every file is looked at again and again'"
complete -c monoceros -n "__fish_monoceros_needs_command" -s c -l config -d 'The configuration file: in YAML, or as gunicorn\'s in Python' -r -F
complete -c monoceros -n "__fish_monoceros_needs_command" -l preload -d 'Load the application once, in a process that forks the workers'
complete -c monoceros -n "__fish_monoceros_needs_command" -l server-header -d 'Send a Server header with the name of this server'
complete -c monoceros -n "__fish_monoceros_needs_command" -l static-fallthrough -d 'Pass requests for files that do not exist to the application'
complete -c monoceros -n "__fish_monoceros_needs_command" -l static-follow-links -d 'Follow symbolic links that lead out of the directories of files'
complete -c monoceros -n "__fish_monoceros_needs_command" -l tls-strict-sni -d 'Refuse clients that ask for a name which no certificate has'
complete -c monoceros -n "__fish_monoceros_needs_command" -l tls-client-cert-environ -d 'Give the application the client\'s certificate as PEM, in SSL_CLIENT_CERT'
complete -c monoceros -n "__fish_monoceros_needs_command" -l redirect-https -d 'Redirect requests on plain listeners to https'
complete -c monoceros -n "__fish_monoceros_needs_command" -l do-handshake-on-connect -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_needs_command" -l suppress-ragged-eofs -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_needs_command" -s D -l daemon -d 'Run in the background, detached from the terminal'
complete -c monoceros -n "__fish_monoceros_needs_command" -l initgroups -d 'Give the workers all groups that their user is a member of'
complete -c monoceros -n "__fish_monoceros_needs_command" -l metrics-application -d 'Add the metrics that the application counts with prometheus_client'
complete -c monoceros -n "__fish_monoceros_needs_command" -l enable-backlog-metric -d 'Send the number of connections that wait to be accepted to StatsD'
complete -c monoceros -n "__fish_monoceros_needs_command" -l log-syslog -d 'Send the error log and the access log to syslog too'
complete -c monoceros -n "__fish_monoceros_needs_command" -l disable-redirect-access-to-syslog -d 'Leave the access log out of what is sent to syslog'
complete -c monoceros -n "__fish_monoceros_needs_command" -l capture-output -d 'Send the application\'s standard output and error to the error log'
complete -c monoceros -n "__fish_monoceros_needs_command" -l reload -d 'Reload when a file that the server reads has changed'
complete -c monoceros -n "__fish_monoceros_needs_command" -l development -d 'Serve as on a developer\'s machine; the command dev sets it'
complete -c monoceros -n "__fish_monoceros_needs_command" -l check-config -d 'Check the settings and the application, report errors, and exit'
complete -c monoceros -n "__fish_monoceros_needs_command" -l print-config -d 'Check as with --check-config, and print every setting with its source'
complete -c monoceros -n "__fish_monoceros_needs_command" -s h -l help -d 'Print a summary of the flags'
complete -c monoceros -n "__fish_monoceros_needs_command" -s V -l version -d 'Print the version'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "reload" -d 'Reload the server as SIGHUP does, and wait: 0 when the new workers serve, 1 with the reason when they cannot and the old ones stay'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "upgrade" -d 'Replace the running master by a new one, as SIGUSR2 does, and wait: 0 when the new master has taken over, 1 with the reason when the old one stays'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "stop" -d 'Drain and stop the server as SIGTERM does, and wait: 0 when its master has ended'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "status" -d 'Show the state of the server and of each worker'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "requests" -d 'Show the requests that run, the oldest first, and the last ones of each worker'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "stacks" -d 'Show where in its code each thread of a worker is now, or of all workers'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "workers" -d 'Change the number of workers, and wait until they serve or have ended'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "log-level" -d 'Change the lowest level of messages in the error log, in all processes at once'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "reopen" -d 'Open the logs again as SIGUSR1 does, and wait until all processes have'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "recycle" -d 'Replace a worker, or all workers one after the other, each when its replacement serves'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "top" -d 'Show the server on the terminal, and renew it each second'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "dev" -d 'Serve the application of this directory to its developer: with --reload, at 127.0.0.1:8000, one worker, four threads, no timeout, a line for each request'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "init" -d 'Write a monoceros.yaml with explanations for the project of this directory'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "convert" -d 'Print a configuration file of gunicorn as YAML: 0 when it has only values, 1 when something in it has to stay in Python'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "check" -d 'Check the settings and the application without serving: one line for each thing to correct; 0 when there is none, 1 when there are some'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "completions" -d 'Print the completions of a shell for this program: bash, zsh or fish'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "install-gunicorn-shim" -d 'Put a program gunicorn into a virtual environment, and the package of this name: both run this server'
complete -c monoceros -n "__fish_monoceros_needs_command" -a "help" -d 'Print the flags and commands'
complete -c monoceros -n "__fish_monoceros_using_subcommand reload" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand reload" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand reload" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand reload" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand reload" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand upgrade" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand upgrade" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand upgrade" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand upgrade" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand upgrade" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand stop" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand stop" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand stop" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand stop" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand stop" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand status" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand status" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand status" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand status" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand status" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand requests" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand requests" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand requests" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand requests" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand requests" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand stacks" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand stacks" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand stacks" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand stacks" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand stacks" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand workers" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand workers" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand workers" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand workers" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand workers" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand log-level" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand log-level" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand log-level" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand log-level" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand log-level" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand reopen" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand reopen" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand reopen" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand reopen" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand reopen" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand recycle" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand recycle" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand recycle" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand recycle" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand recycle" -l json -d 'With each command but top: print the outcome as JSON'
complete -c monoceros -n "__fish_monoceros_using_subcommand top" -s p -l pid -d 'The pid file of the server' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand top" -s c -l config -d 'The configuration file that names its pid file' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand top" -l timeout -d 'Maximum time to wait for the reply or the end; after it exit with 1, while the server carries the command out' -r
complete -c monoceros -n "__fish_monoceros_using_subcommand top" -s h -l help -d 'Print the commands and their flags'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l paste -l paster -d 'File of PasteDeploy that describes the application, in place of APP' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l paste-global -d 'Value for every section of the file of --paste; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l chdir -d 'Working directory of the server, to which it changes first' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l pythonpath -d 'Directories to add to Python\'s module search path, separated by commas' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l python -d 'The Python interpreter that runs the application' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s e -l env -d 'Environment variable for the application; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s b -l bind -d 'Address to listen on; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l backlog -d 'Maximum number of connections that wait to be accepted, for each address' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l unix-mode -d 'Mode of the files of unix sockets, as octal digits with a leading zero' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l unix-group -d 'Group of the files of unix sockets, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s w -l workers -d 'Number of worker processes' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s k -l worker-class -d 'Kind of worker: wsgi or exec' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l ready-after -d 'Time after which a worker of class exec counts as ready' -r -f -a "notify\t'when it sends READY=1'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l threads -d 'Number of application threads in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l worker-connections -d 'Maximum number of open connections in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s t -l timeout -d 'Maximum time that the application may take to begin a response' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l shutdown-delay -d 'Time between SIGTERM and the drain, in which the server serves as before' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l graceful-timeout -d 'Maximum time for a draining worker to finish its requests' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l drain-idle -d 'Maximum time that a connection may be idle while its worker drains' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l boot-timeout -d 'Maximum time for a new worker to become ready' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-surge -d 'Maximum number of workers beyond --workers during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-unavailable -d 'Maximum number of workers that may be unavailable during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l min-ready-seconds -d 'Time that a new worker must stay ready before a rollout counts it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l progress-deadline -d 'Maximum time of a reload without another new worker that serves' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l upgrade-timeout -d 'Maximum time for a new master to begin serving in an upgrade' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-requests -d 'Number of requests after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-requests-jitter -d 'Random addition to --max-requests, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-lifetime -d 'Time after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-lifetime-jitter -d 'Random addition to --max-lifetime, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l max-rss -d 'Memory above which a worker is replaced, such as 512M; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l keep-alive -d 'Maximum time that a connection may be idle before a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l header-timeout -d 'Maximum time for a client to send the head of a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l body-timeout -d 'Maximum time without progress while a request\'s body is received' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l write-timeout -d 'Maximum time without progress while a response is sent' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l response-memory -d 'Memory for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l response-disk -d 'Disk space for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-request-line -d 'Maximum length of the request line in bytes; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-request-fields -d 'Maximum number of headers in a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-request-field-size -l limit-request-field_size -d 'Maximum length of a header in bytes, from its name to the end of its line' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l response-headers -d 'Headers to add to each response that has none of that name; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l request-id-header -d 'The header that identifies a request; none uses no header' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l compress -d 'Codings in which the application\'s responses are compressed; none by default' -r -f -a "zstd\t'Zstandard (RFC 8878)'
gzip\t'gzip (RFC 1952)'
br\t'Brotli (RFC 7932)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l compress-types -d 'Media types of responses that are compressed, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l compress-min-length -d 'Minimum length of a response to be compressed' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l compress-level -d 'How much time compression may take, as a word or a level' -r -f -a "fast\t'little time'
default\t'a level of each coding that suits responses'
best\t'few bytes'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l access -d 'Rules that allow or deny requests; the first one that matches decides' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l allowed-hosts -d 'Hosts for which requests are served, separated by commas; off allows all' -r -f -a "off\t'every host'
auto\t'those of ALLOWED_HOSTS in the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l allowed-hosts-empty -d 'What happens to requests that name no host, as those of HTTP/1.0 may' -r -f -a "refuse\t'it is answered 421'
allow\t'it is served'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-rate -d 'Limits for the requests of each client address; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-connections -d 'Maximum number of open connections of a client address; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-request-body -d 'Maximum length of a request\'s body, such as 10M; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l limit-request-spool -d 'Disk space for the bodies of requests, in all workers together' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l queue-timeout -d 'Maximum time that a request waits for an application thread; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l debug-guard -d 'What happens when the application shows its debugger to clients' -r -f -a "warn\t'the log has a warning'
refuse\t'the worker does not become ready'
off\t'no debugger is looked for'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l static -d 'Files that the server sends, as PREFIX=PATH, or auto; can be repeated' -r -f -a "none\t'no files'
auto\t'those of the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l static-immutable -d 'Regular expression for names of files that never change' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l static-max-age -d 'Time for which clients may keep a file without asking for it again' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l accel -d 'Directories of files that the application sends by a header; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l certfile -d 'File with a certificate, and the certificates of its issuers behind it, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l keyfile -d 'File with the private key of the certificate, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l certificates -d 'Further certificates: pairs of files, or directories as certbot lays them out' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l ca-certs -d 'File with the certificates of the authorities that issue clients\' certificates' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l cert-reqs -d 'Whether a client must have a certificate' -r -f -a "none\t'no client is asked for a certificate'
optional\t'a client may have none, but not one that cannot be verified'
required\t'a client without a certificate that can be verified is refused'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l tls-minimum-version -d 'Lowest version of TLS that is accepted' -r -f -a "1.2\t'TLS 1.2 and 1.3'
1.3\t'TLS 1.3 only'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l ciphers -d 'Cipher suites, separated by colons or commas; the default is all of them' -r -f -a "TLS_AES_256_GCM_SHA384\t'TLS 1.3'
TLS_AES_128_GCM_SHA256\t'TLS 1.3'
TLS_CHACHA20_POLY1305_SHA256\t'TLS 1.3'
ECDHE-ECDSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-ECDSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-ECDSA-CHACHA20-POLY1305\t'TLS 1.2'
ECDHE-RSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-RSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-RSA-CHACHA20-POLY1305\t'TLS 1.2'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l tls-handshake-timeout -d 'Maximum time for the TLS handshake, and for a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l acme-webroot -d 'Directory with /.well-known/acme-challenge/, served on plain listeners' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l hsts -d 'Time for which browsers use https only (Strict-Transport-Security)' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l ssl-version -d 'Accepted for gunicorn\'s configurations; it has no effect' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l forwarded-allow-ips -d 'Proxies whose headers are trusted, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l secure-scheme-headers -d 'Headers by which a trusted proxy reports that its client uses https' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l forwarder-headers -d 'Headers with an underscore that only trusted proxies may send' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l header-map -d 'What happens to other headers with an underscore in their name' -r -f -a "drop\t'the header is removed'
refuse\t'the request is answered 400'
dangerous\t'the header becomes the same variable as one with a dash in its name'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l proxy-protocol -d 'Whether connections begin with a header of the PROXY protocol' -r -f -a "off\t'no connection begins with a header'
auto\t'connections with and without a header are served'
v1\t'each connection begins with a header of version 1 (text)'
v2\t'each connection begins with a header of version 2 (binary)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l proxy-allow-ips -l proxy-allow-from -d 'Proxies that may send a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l real-ip -d 'The header that names the client\'s address' -r -f -a "off\t'no header; the address is that of the connection'
x-forwarded-for\t'X-Forwarded-For'
forwarded\t'Forwarded (RFC 7239)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s n -l name -d 'Name in the titles of the processes' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s p -l pid -d 'File to write the process ID of the master to' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s u -l user -d 'User to run the workers as, by name or number' -r -f -a "(__fish_complete_users)"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s g -l group -d 'Group to run the workers as, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s m -l umask -d 'File mode creation mask of the server and the application' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l metrics -d 'Address for metrics, health checks and a status page; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l metrics-allow -d 'Clients that may read metrics, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l metrics-path -d 'Path of the metrics on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l health-path -d 'Path of a health check on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l statsd-host -d 'Address to send figures for StatsD to: HOST:PORT or unix://PATH' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l statsd-prefix -d 'What the names of figures for StatsD begin with; a dot is added' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l dogstatsd-tags -d 'Tags of DogStatsD for each figure, such as tag1:value1,tag2:value2' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-level -d 'Lowest level of messages in the error log' -r -f -a "debug\t'everything'
info\t'what happens'
warning\t'what may need attention'
error\t'what failed'
critical\t'what ends the server'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l error-logfile -l log-file -d 'File for the error log; - is standard error' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l access-logfile -d 'File for the access log, a line per request; - is standard output' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l access-logformat -d 'Format of a line in the access log' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l access-log-exclude -d 'Requests that the access log leaves out; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l access-log-sample -d 'The part of all requests that the access log has, from 0 to 1' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-format -d 'Format of the lines in the error log and the access log' -r -f -a "text\t'lines for people'
json\t'one JSON object in each line'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-syslog-to -d 'Address to send messages for syslog to' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-syslog-prefix -d 'The name of the program in messages for syslog' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-syslog-facility -d 'The facility of messages for syslog' -r -f -a "kern\t'the kernel'
user\t'programs of users'
mail\t'mail'
daemon\t'services'
auth\t'authorization'
syslog\t'syslog itself'
lpr\t'printers'
news\t'network news'
uucp\t'UUCP'
cron\t'clocks'
authpriv\t'authorization, private'
ftp\t'FTP'
local0\t'chosen by the operator'
local1\t'chosen by the operator'
local2\t'chosen by the operator'
local3\t'chosen by the operator'
local4\t'chosen by the operator'
local5\t'chosen by the operator'
local6\t'chosen by the operator'
local7\t'chosen by the operator'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-config -d 'File that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-config-json -d 'JSON file that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l logger-class -d 'The class of the logger in Python, with its module: shop.logs.Logger' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l slow-request -d 'Time after which a request is slow; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l slow-logfile -d 'File for slow requests (--slow-request), instead of the error log' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l reload-extra-file -d 'Further file whose change reloads, with --reload; can be repeated' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l reload-engine -d 'How changes are noticed with --reload' -r -f -a "auto\t'the kernel reports changes, and polling is for files of which it cannot'
inotify\t'the kernel reports changes (inotify(7)), also on network file systems'
poll\t'every file is looked at again and again'"
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s c -l config -d 'The configuration file: in YAML, or as gunicorn\'s in Python' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l preload -d 'Load the application once, in a process that forks the workers'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l server-header -d 'Send a Server header with the name of this server'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l static-fallthrough -d 'Pass requests for files that do not exist to the application'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l static-follow-links -d 'Follow symbolic links that lead out of the directories of files'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l tls-strict-sni -d 'Refuse clients that ask for a name which no certificate has'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l tls-client-cert-environ -d 'Give the application the client\'s certificate as PEM, in SSL_CLIENT_CERT'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l redirect-https -d 'Redirect requests on plain listeners to https'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l do-handshake-on-connect -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l suppress-ragged-eofs -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -s D -l daemon -d 'Run in the background, detached from the terminal'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l initgroups -d 'Give the workers all groups that their user is a member of'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l metrics-application -d 'Add the metrics that the application counts with prometheus_client'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l enable-backlog-metric -d 'Send the number of connections that wait to be accepted to StatsD'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l log-syslog -d 'Send the error log and the access log to syslog too'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l disable-redirect-access-to-syslog -d 'Leave the access log out of what is sent to syslog'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l capture-output -d 'Send the application\'s standard output and error to the error log'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l reload -d 'Reload when a file that the server reads has changed'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l development -d 'Serve as on a developer\'s machine; the command dev sets it'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l check-config -d 'Check the settings and the application, report errors, and exit'
complete -c monoceros -n "__fish_monoceros_using_subcommand dev" -l print-config -d 'Check as with --check-config, and print every setting with its source'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l paste -l paster -d 'File of PasteDeploy that describes the application, in place of APP' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l paste-global -d 'Value for every section of the file of --paste; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l chdir -d 'Working directory of the server, to which it changes first' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l pythonpath -d 'Directories to add to Python\'s module search path, separated by commas' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l python -d 'The Python interpreter that runs the application' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s e -l env -d 'Environment variable for the application; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s b -l bind -d 'Address to listen on; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l backlog -d 'Maximum number of connections that wait to be accepted, for each address' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l unix-mode -d 'Mode of the files of unix sockets, as octal digits with a leading zero' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l unix-group -d 'Group of the files of unix sockets, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s w -l workers -d 'Number of worker processes' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s k -l worker-class -d 'Kind of worker: wsgi or exec' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l ready-after -d 'Time after which a worker of class exec counts as ready' -r -f -a "notify\t'when it sends READY=1'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l threads -d 'Number of application threads in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l worker-connections -d 'Maximum number of open connections in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s t -l timeout -d 'Maximum time that the application may take to begin a response' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l shutdown-delay -d 'Time between SIGTERM and the drain, in which the server serves as before' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l graceful-timeout -d 'Maximum time for a draining worker to finish its requests' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l drain-idle -d 'Maximum time that a connection may be idle while its worker drains' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l boot-timeout -d 'Maximum time for a new worker to become ready' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-surge -d 'Maximum number of workers beyond --workers during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-unavailable -d 'Maximum number of workers that may be unavailable during a rollout' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l min-ready-seconds -d 'Time that a new worker must stay ready before a rollout counts it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l progress-deadline -d 'Maximum time of a reload without another new worker that serves' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l upgrade-timeout -d 'Maximum time for a new master to begin serving in an upgrade' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-requests -d 'Number of requests after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-requests-jitter -d 'Random addition to --max-requests, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-lifetime -d 'Time after which a worker is replaced; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-lifetime-jitter -d 'Random addition to --max-lifetime, chosen for each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l max-rss -d 'Memory above which a worker is replaced, such as 512M; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l keep-alive -d 'Maximum time that a connection may be idle before a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l header-timeout -d 'Maximum time for a client to send the head of a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l body-timeout -d 'Maximum time without progress while a request\'s body is received' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l write-timeout -d 'Maximum time without progress while a response is sent' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l response-memory -d 'Memory for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l response-disk -d 'Disk space for responses that wait for slow clients, in each worker' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-request-line -d 'Maximum length of the request line in bytes; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-request-fields -d 'Maximum number of headers in a request' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-request-field-size -l limit-request-field_size -d 'Maximum length of a header in bytes, from its name to the end of its line' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l response-headers -d 'Headers to add to each response that has none of that name; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l request-id-header -d 'The header that identifies a request; none uses no header' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l compress -d 'Codings in which the application\'s responses are compressed; none by default' -r -f -a "zstd\t'Zstandard (RFC 8878)'
gzip\t'gzip (RFC 1952)'
br\t'Brotli (RFC 7932)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l compress-types -d 'Media types of responses that are compressed, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l compress-min-length -d 'Minimum length of a response to be compressed' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l compress-level -d 'How much time compression may take, as a word or a level' -r -f -a "fast\t'little time'
default\t'a level of each coding that suits responses'
best\t'few bytes'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l access -d 'Rules that allow or deny requests; the first one that matches decides' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l allowed-hosts -d 'Hosts for which requests are served, separated by commas; off allows all' -r -f -a "off\t'every host'
auto\t'those of ALLOWED_HOSTS in the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l allowed-hosts-empty -d 'What happens to requests that name no host, as those of HTTP/1.0 may' -r -f -a "refuse\t'it is answered 421'
allow\t'it is served'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-rate -d 'Limits for the requests of each client address; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-connections -d 'Maximum number of open connections of a client address; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-request-body -d 'Maximum length of a request\'s body, such as 10M; 0 disables the limit' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l limit-request-spool -d 'Disk space for the bodies of requests, in all workers together' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l queue-timeout -d 'Maximum time that a request waits for an application thread; 0 disables it' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l debug-guard -d 'What happens when the application shows its debugger to clients' -r -f -a "warn\t'the log has a warning'
refuse\t'the worker does not become ready'
off\t'no debugger is looked for'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l static -d 'Files that the server sends, as PREFIX=PATH, or auto; can be repeated' -r -f -a "none\t'no files'
auto\t'those of the loaded Django project'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l static-immutable -d 'Regular expression for names of files that never change' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l static-max-age -d 'Time for which clients may keep a file without asking for it again' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l accel -d 'Directories of files that the application sends by a header; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l certfile -d 'File with a certificate, and the certificates of its issuers behind it, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l keyfile -d 'File with the private key of the certificate, as PEM' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l certificates -d 'Further certificates: pairs of files, or directories as certbot lays them out' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l ca-certs -d 'File with the certificates of the authorities that issue clients\' certificates' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l cert-reqs -d 'Whether a client must have a certificate' -r -f -a "none\t'no client is asked for a certificate'
optional\t'a client may have none, but not one that cannot be verified'
required\t'a client without a certificate that can be verified is refused'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l tls-minimum-version -d 'Lowest version of TLS that is accepted' -r -f -a "1.2\t'TLS 1.2 and 1.3'
1.3\t'TLS 1.3 only'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l ciphers -d 'Cipher suites, separated by colons or commas; the default is all of them' -r -f -a "TLS_AES_256_GCM_SHA384\t'TLS 1.3'
TLS_AES_128_GCM_SHA256\t'TLS 1.3'
TLS_CHACHA20_POLY1305_SHA256\t'TLS 1.3'
ECDHE-ECDSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-ECDSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-ECDSA-CHACHA20-POLY1305\t'TLS 1.2'
ECDHE-RSA-AES256-GCM-SHA384\t'TLS 1.2'
ECDHE-RSA-AES128-GCM-SHA256\t'TLS 1.2'
ECDHE-RSA-CHACHA20-POLY1305\t'TLS 1.2'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l tls-handshake-timeout -d 'Maximum time for the TLS handshake, and for a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l acme-webroot -d 'Directory with /.well-known/acme-challenge/, served on plain listeners' -r -f -a "(__fish_complete_directories)"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l hsts -d 'Time for which browsers use https only (Strict-Transport-Security)' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l ssl-version -d 'Accepted for gunicorn\'s configurations; it has no effect' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l forwarded-allow-ips -d 'Proxies whose headers are trusted, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l secure-scheme-headers -d 'Headers by which a trusted proxy reports that its client uses https' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l forwarder-headers -d 'Headers with an underscore that only trusted proxies may send' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l header-map -d 'What happens to other headers with an underscore in their name' -r -f -a "drop\t'the header is removed'
refuse\t'the request is answered 400'
dangerous\t'the header becomes the same variable as one with a dash in its name'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l proxy-protocol -d 'Whether connections begin with a header of the PROXY protocol' -r -f -a "off\t'no connection begins with a header'
auto\t'connections with and without a header are served'
v1\t'each connection begins with a header of version 1 (text)'
v2\t'each connection begins with a header of version 2 (binary)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l proxy-allow-ips -l proxy-allow-from -d 'Proxies that may send a header of the PROXY protocol' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l real-ip -d 'The header that names the client\'s address' -r -f -a "off\t'no header; the address is that of the connection'
x-forwarded-for\t'X-Forwarded-For'
forwarded\t'Forwarded (RFC 7239)'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s n -l name -d 'Name in the titles of the processes' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s p -l pid -d 'File to write the process ID of the master to' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s u -l user -d 'User to run the workers as, by name or number' -r -f -a "(__fish_complete_users)"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s g -l group -d 'Group to run the workers as, by name or number' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s m -l umask -d 'File mode creation mask of the server and the application' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l metrics -d 'Address for metrics, health checks and a status page; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l metrics-allow -d 'Clients that may read metrics, separated by commas' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l metrics-path -d 'Path of the metrics on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l health-path -d 'Path of a health check on the addresses of --bind' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l statsd-host -d 'Address to send figures for StatsD to: HOST:PORT or unix://PATH' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l statsd-prefix -d 'What the names of figures for StatsD begin with; a dot is added' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l dogstatsd-tags -d 'Tags of DogStatsD for each figure, such as tag1:value1,tag2:value2' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-level -d 'Lowest level of messages in the error log' -r -f -a "debug\t'everything'
info\t'what happens'
warning\t'what may need attention'
error\t'what failed'
critical\t'what ends the server'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l error-logfile -l log-file -d 'File for the error log; - is standard error' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l access-logfile -d 'File for the access log, a line per request; - is standard output' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l access-logformat -d 'Format of a line in the access log' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l access-log-exclude -d 'Requests that the access log leaves out; can be repeated' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l access-log-sample -d 'The part of all requests that the access log has, from 0 to 1' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-format -d 'Format of the lines in the error log and the access log' -r -f -a "text\t'lines for people'
json\t'one JSON object in each line'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-syslog-to -d 'Address to send messages for syslog to' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-syslog-prefix -d 'The name of the program in messages for syslog' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-syslog-facility -d 'The facility of messages for syslog' -r -f -a "kern\t'the kernel'
user\t'programs of users'
mail\t'mail'
daemon\t'services'
auth\t'authorization'
syslog\t'syslog itself'
lpr\t'printers'
news\t'network news'
uucp\t'UUCP'
cron\t'clocks'
authpriv\t'authorization, private'
ftp\t'FTP'
local0\t'chosen by the operator'
local1\t'chosen by the operator'
local2\t'chosen by the operator'
local3\t'chosen by the operator'
local4\t'chosen by the operator'
local5\t'chosen by the operator'
local6\t'chosen by the operator'
local7\t'chosen by the operator'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-config -d 'File that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-config-json -d 'JSON file that configures Python\'s logging for both logs' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l logger-class -d 'The class of the logger in Python, with its module: shop.logs.Logger' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l slow-request -d 'Time after which a request is slow; 0 disables this' -r -f
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l slow-logfile -d 'File for slow requests (--slow-request), instead of the error log' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l reload-extra-file -d 'Further file whose change reloads, with --reload; can be repeated' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l reload-engine -d 'How changes are noticed with --reload' -r -f -a "auto\t'the kernel reports changes, and polling is for files of which it cannot'
inotify\t'the kernel reports changes (inotify(7)), also on network file systems'
poll\t'every file is looked at again and again'"
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s c -l config -d 'The configuration file: in YAML, or as gunicorn\'s in Python' -r -F
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l deploy -d 'With check: also list what a deployment must not have, such as debugging, with the messages of Django\'s own check --deploy'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l preload -d 'Load the application once, in a process that forks the workers'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l server-header -d 'Send a Server header with the name of this server'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l static-fallthrough -d 'Pass requests for files that do not exist to the application'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l static-follow-links -d 'Follow symbolic links that lead out of the directories of files'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l tls-strict-sni -d 'Refuse clients that ask for a name which no certificate has'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l tls-client-cert-environ -d 'Give the application the client\'s certificate as PEM, in SSL_CLIENT_CERT'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l redirect-https -d 'Redirect requests on plain listeners to https'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l do-handshake-on-connect -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l suppress-ragged-eofs -d 'Accepted for gunicorn\'s configurations; it has no effect'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -s D -l daemon -d 'Run in the background, detached from the terminal'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l initgroups -d 'Give the workers all groups that their user is a member of'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l metrics-application -d 'Add the metrics that the application counts with prometheus_client'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l enable-backlog-metric -d 'Send the number of connections that wait to be accepted to StatsD'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l log-syslog -d 'Send the error log and the access log to syslog too'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l disable-redirect-access-to-syslog -d 'Leave the access log out of what is sent to syslog'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l capture-output -d 'Send the application\'s standard output and error to the error log'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l reload -d 'Reload when a file that the server reads has changed'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l development -d 'Serve as on a developer\'s machine; the command dev sets it'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l check-config -d 'Check the settings and the application, report errors, and exit'
complete -c monoceros -n "__fish_monoceros_using_subcommand check" -l print-config -d 'Check as with --check-config, and print every setting with its source'
complete -c monoceros -n "__fish_monoceros_using_subcommand install-gunicorn-shim" -l replace -d 'With install-gunicorn-shim: also if another gunicorn is installed there'
