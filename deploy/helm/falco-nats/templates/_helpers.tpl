{{/* All of these take the falco chart's context: its own templates have no other. */}}

{{- define "falco-nats.enabled" -}}
{{- or .Values.natsOutput.enabled (dig "natsOutput" "enabled" false (.Values.integrations | default dict)) -}}
{{- end }}

{{- define "falco-nats.server" -}}
{{- $old := (.Values.integrations | default dict).natsOutput | default dict -}}
{{- (and $old.enabled $old.natsUrl) | default .Values.natsOutput.server -}}
{{- end }}

{{/* What falco-nats would refuse is said here already, by the names of the values. */}}
{{- define "falco-nats.validate" }}
{{- $nats := .Values.natsOutput }}
{{- $at := "falco.natsOutput" }}
{{- $file := .Values.falco.file_output | default dict }}
{{- if and $file.enabled (ne $file.filename $nats.pipe) }}
{{- fail (printf "falco.falco.file_output writes to %s, and Falco has only one: %s.enabled needs it for the pipe. Switch one of them off" $file.filename $at) }}
{{- end }}
{{- include "falco-nats.validateLogin" (dict "nats" $nats "at" $at) }}
{{- range $option, $needed := dict "stream" "jetstream" "createStream" "jetstream" "maxInFlight" "jetstream" "streamMaxAge" "createStream" "duplicateWindow" "createStream" }}
{{- if and (get $nats $option) (not (get $nats $needed)) }}
{{- fail (printf "%s.%s is given without %s.%s" $at $option $at $needed) }}
{{- end }}
{{- end }}
{{- $sizes := pick $nats "maxLineBytes" "batchBytes" "bufferBytes" }}
{{- $_ := set $sizes "spool.bytes" $nats.spool.bytes }}
{{- $bounds := dict "maxLineBytes" (list 1024 8388608 "1KiB to 8MiB") "batchBytes" (list 1024 4194304 "1KiB to 4MiB") "bufferBytes" (list 1024 4294967296 "1KiB to 4GiB") "spool.bytes" (list 4194304 1099511627776 "4MiB to 1024GiB") }}
{{- range $key, $size := $sizes }}
{{- $bound := get $bounds $key }}
{{- $bytes := include "falco-nats.bytes" $size | int64 }}
{{- if and (ne (toString $size) "") (or (lt $bytes (index $bound 0 | int64)) (gt $bytes (index $bound 1 | int64))) }}
{{- fail (printf "%s.%s is %v: allowed is %s" $at $key $size (last $bound)) }}
{{- end }}
{{- end }}
{{- $token := "(<(priority|rule|source|hostname)>|[!#-)+-\\-/-;=?-\\[\\]-~])+" }}
{{- if and $nats.subject (not (regexMatch (printf "^%s(\\.%s)*$" $token $token) $nats.subject)) }}
{{- fail (printf "%s.subject is %s: allowed are tokens with dots between, in printable ASCII without * < > \" \\ and blanks, but with <priority> <rule> <source> <hostname>" $at $nats.subject) }}
{{- end }}
{{- if hasPrefix "$" $nats.subject }}
{{- fail (printf "%s.subject is %s: subjects that begin with $ belong to the NATS server" $at $nats.subject) }}
{{- end }}
{{- if and $nats.createStream (regexMatch "^[^.]*<" $nats.subject) }}
{{- fail (printf "%s.createStream with subject %s: a stream for it would take everything" $at $nats.subject) }}
{{- end }}
{{- end }}

{{/* One way to log in: for the sidecar, and for the responder. */}}
{{- define "falco-nats.validateLogin" }}
{{- $nats := .nats }}
{{- $at := .at }}
{{- $ways := list }}
{{- range $way := list "creds" "nkey" "token" }}
{{- if (get $nats $way).secretName }}{{ $ways = append $ways (printf "%s.%s" $at $way) }}{{ end }}
{{- end }}
{{- if $nats.user }}{{ $ways = append $ways (printf "%s.user" $at) }}{{ end }}
{{- if gt (len $ways) 1 }}
{{- fail (printf "%s are given: choose one way to log in" (join " and " $ways)) }}
{{- end }}
{{- if and $nats.password.secretName (not $nats.user) }}
{{- fail (printf "%s.password is given without %s.user" $at $at) }}
{{- end }}
{{- if and $nats.tlsCA.secretName $nats.tlsCA.configMapName }}
{{- fail (printf "%s.tlsCA: choose one of secretName and configMapName" $at) }}
{{- end }}
{{- end }}

{{/* `16MiB` → 16777216 */}}
{{- define "falco-nats.bytes" -}}
{{- $size := ternary (int64 .) . (kindIs "float64" .) | toString | upper -}}
{{- $units := dict "" 1 "K" 1024 "M" 1048576 "G" 1073741824 -}}
{{- mul (regexFind "^[0-9]+" $size | int64) (get $units (regexFind "[KMG]" $size)) -}}
{{- end }}

{{- define "falco-nats.image" -}}
{{- with .Values.natsOutput.image -}}
{{ .registry }}/{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ .tag }}{{ end }}
{{- end }}
{{- end }}

{{/* Option → file, Secret or ConfigMap, and key in it: the one list that the environment and the volume come from. */}}
{{- define "falco-nats.files" }}
{{- with .Values.natsOutput }}
{{- range $option, $from := dict "creds" .creds "nkey" .nkey "passwordFile" .password "tokenFile" .token "tlsca" .tlsCA }}
{{- if or $from.secretName $from.configMapName }}
{{ $option }}: {{ dict "secret" $from.secretName "configMap" $from.configMapName "key" $from.key | toJson }}
{{- end }}
{{- end }}
{{- with .tlsClient }}
{{- if .secretName }}
tlscert: {{ dict "secret" .secretName "key" .cert | toJson }}
tlskey: {{ dict "secret" .secretName "key" .key | toJson }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* An option's variable is its name in capitals. */}}
{{- define "falco-nats.env" -}}
{{- $nats := .Values.natsOutput }}
{{- $values := pick $nats "connectionName" "user" "tlsfirst" "subject" "addHeader" "minPriority" "jetstream" "stream" "createStream" "streamMaxAge" "duplicateWindow" "maxInFlight" "inboxPrefix" "maxLineBytes" "batchBytes" "bufferBytes" "whenFull" "drainTimeout" "pipe" "falcoEvents" "maxSeries" "logLevel" "logFormat" }}
{{- $_ := set $values "server" (include "falco-nats.server" .) }}
{{- $_ = set $values "metricsAddress" (printf ":%v" $nats.metrics.port) }}
{{- if $nats.headers }}{{ $_ = set $values "headers" "on" }}{{ end }}
{{/* In YAML, off without quotes is false. */}}
{{- if eq (toString $nats.falcoEvents) "false" }}{{ $_ = set $values "falcoEvents" "off" }}{{ end }}
{{- if $nats.spool.enabled }}
{{- $_ = set $values "spoolDir" "/var/lib/falco-nats/spool" }}
{{- $_ = set $values "spoolBytes" $nats.spool.bytes }}
{{- end }}
{{- range $option, $from := include "falco-nats.files" . | fromYaml }}
{{- $_ = set $values $option (printf "/etc/falco-nats/%s" $option) }}
{{- end }}
- name: NODE_NAME
  valueFrom:
    fieldRef:
      fieldPath: spec.nodeName
{{- range $option, $value := $values }}
{{- if kindIs "float64" $value }}{{ $value = int64 $value }}{{ end }}
{{- if not (has (toString $value) (list "" "false")) }}
- name: FALCO_NATS_{{ $option | snakecase | upper }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- with $nats.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "falco-nats.securityContext" -}}
{{- $user := ternary 0 65532 (and .Values.natsOutput.spool.enabled (ne .Values.natsOutput.spool.hostPath "")) -}}
{{- include "falco-nats.restricted" (dict "user" $user "given" .Values.natsOutput.securityContext) -}}
{{- end }}

{{/* As little as a container can be given: for the sidecar, and for the responder. `given` is added, and wins. */}}
{{- define "falco-nats.restricted" -}}
{{- $own := dict "runAsUser" .user "runAsGroup" .user "runAsNonRoot" (ne .user 0) "readOnlyRootFilesystem" true "allowPrivilegeEscalation" false "privileged" false "capabilities" (dict "drop" (list "ALL")) "seccompProfile" (dict "type" "RuntimeDefault") -}}
{{- mergeOverwrite $own (deepCopy .given) | toYaml -}}
{{- end }}

{{/* What the sidecar and the chart's test have in common. */}}
{{- define "falco-nats.container" -}}
name: falco-nats
image: {{ include "falco-nats.image" . }}
imagePullPolicy: {{ .Values.natsOutput.image.pullPolicy }}
env:
  {{- include "falco-nats.env" . | trim | nindent 2 }}
resources:
  {{- toYaml .Values.natsOutput.resources | nindent 2 }}
terminationMessagePolicy: FallbackToLogsOnError
volumeMounts:
  - name: falco-nats-pipe
    mountPath: {{ dir .Values.natsOutput.pipe }}
  {{- if .Values.natsOutput.spool.enabled }}
  - name: falco-nats-spool
    mountPath: /var/lib/falco-nats/spool
  {{- end }}
  {{- if include "falco-nats.files" . | fromYaml }}
  - name: falco-nats-credentials
    mountPath: /etc/falco-nats
    readOnly: true
  {{- end }}
{{- end }}

{{- define "falco-nats.sidecar" -}}
{{ include "falco-nats.container" . }}
restartPolicy: Always
securityContext:
  {{- include "falco-nats.securityContext" . | nindent 2 }}
ports:
  - name: nats-metrics
    containerPort: {{ .Values.natsOutput.metrics.port }}
    protocol: TCP
startupProbe:
  httpGet: { path: /readyz, port: nats-metrics }
  {{- toYaml .Values.natsOutput.startupProbe | nindent 2 }}
livenessProbe:
  httpGet: { path: /livez, port: nats-metrics }
  {{- toYaml .Values.natsOutput.livenessProbe | nindent 2 }}
{{- if .Values.natsOutput.readinessProbe.enabled }}
readinessProbe:
  httpGet: { path: /readyz, port: nats-metrics }
  {{- toYaml (omit .Values.natsOutput.readinessProbe "enabled") | nindent 2 }}
{{- end }}
{{- end }}

{{- define "falco-nats.volumes" -}}
{{ include "falco-nats.pipeVolume" . }}
{{- with .Values.natsOutput.spool }}
{{- if and .enabled .hostPath }}
- name: falco-nats-spool
  hostPath:
    path: {{ .hostPath }}
    type: DirectoryOrCreate
{{- else if .enabled }}
{{ include "falco-nats.spoolVolume" . | trim }}
{{- end }}
{{- end }}
{{- with include "falco-nats.credentialsVolume" . | trim }}
{{ . }}
{{- end }}
{{- end }}

{{/* A pipe takes no room. Were it ever a regular file, this keeps the node's disk. */}}
{{- define "falco-nats.pipeVolume" -}}
- name: falco-nats-pipe
  emptyDir:
    sizeLimit: 1Mi
{{- end }}

{{/* Kubernetes evicts the pod over the limit, so it is a quarter more than falco-nats allows itself. */}}
{{- define "falco-nats.spoolVolume" -}}
{{- $bytes := include "falco-nats.bytes" .bytes | int64 }}
- name: falco-nats-spool
  emptyDir:
    sizeLimit: {{ div (add (div (mul $bytes 5) 4) 1048575) 1048576 }}Mi
{{- end }}

{{- define "falco-nats.credentialsVolume" -}}
{{- $files := include "falco-nats.files" . | fromYaml }}
{{- if $files }}
- name: falco-nats-credentials
  projected:
    # For all to read: the sidecar is not root, and nobody else mounts it.
    defaultMode: 0444
    sources:
    {{- range $option, $from := $files }}
      - {{ ternary "secret" "configMap" (not (empty $from.secret)) }}:
          name: {{ $from.secret | default $from.configMap }}
          items:
            - key: {{ $from.key }}
              path: {{ $option }}
    {{- end }}
{{- end }}
{{- end }}

{{/* For the chart's own objects. */}}
{{- define "falco-nats.name" -}}
{{ include "falco.fullname" . | trunc 48 | trimSuffix "-" }}-nats
{{- end }}

{{- define "falco-nats.labels" -}}
app.kubernetes.io/name: falco-nats
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: falco
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}
