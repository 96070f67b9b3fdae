{{/* The responder. All of these take the chart's own context, and nothing of the falco chart's templates: it may be off. */}}

{{- define "falco-nats.respond.name" -}}
{{ .Release.Name | trunc 40 | trimSuffix "-" }}-nats-respond
{{- end }}

{{- define "falco-nats.respond.selectorLabels" -}}
app.kubernetes.io/name: falco-nats-respond
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "falco-nats.respond.labels" -}}
{{ include "falco-nats.respond.selectorLabels" . }}
app.kubernetes.io/part-of: falco
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "falco-nats.respond.server" -}}
{{- .Values.respond.server | default (include "falco-nats.server" (dict "Values" .Values.falco)) -}}
{{- end }}

{{/* What the schema cannot say. */}}
{{- define "falco-nats.respond.validate" }}
{{- with .Values.respond }}
{{- include "falco-nats.validateLogin" (dict "nats" . "at" "respond") }}
{{- if not .playbooks }}
{{- fail "respond.enabled is given without respond.playbooks: it would have nothing to do" }}
{{- end }}
{{- $names := list }}
{{- range .playbooks }}
{{- if has .name $names }}
{{- fail (printf "respond.playbooks: two are called %s" .name) }}
{{- end }}
{{- $names = append $names .name }}
{{- if not (or .on (get . "true")) }}
{{- fail (printf "respond.playbooks: %s has no on, the subjects that it is for" .name) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{/* The file of `--config`. To Helm, which reads YAML 1.1, a key `on` without quotes is `true`. */}}
{{- define "falco-nats.respond.config" -}}
{{- $playbooks := list }}
{{- range .Values.respond.playbooks }}
{{- $playbooks = append $playbooks (set (omit . "true") "on" (.on | default (get . "true"))) }}
{{- end }}
{{- $head := pick .Values.respond "dryRun" "maxActionsPerMinute" "protectedNamespaces" }}
{{- set $head "playbooks" $playbooks | toYaml }}
{{- end }}

{{/* What each step needs, as "group resource verb"; the core group has no name. `falco-nats respond --rbac` says the same. */}}
{{- define "falco-nats.respond.rules" }}
{{- $pod := list " pods get" " events create" }}
{{- $node := list " nodes get" }}
{{- $policies := list "networking.k8s.io networkpolicies get" "networking.k8s.io networkpolicies create" }}
{{- $needs := dict
  "delete-pod" (append $pod " pods delete")
  "isolate-pod" (concat $pod (list " pods patch") $policies)
  "label-pod" (append $pod " pods patch")
  "capture-logs" (append $pod " pods/log get")
  "taint-node" (append $node " nodes patch")
  "cordon-node" (append $node " nodes patch")
  "run-job" (append $node "batch jobs create")
}}
{{- $rules := dict }}
{{- range .Values.respond.playbooks }}
{{- range .steps }}
{{- range $step, $params := . }}
{{- $lifted := and (eq $step "isolate-pod") (get ($params | default dict) "ttl") }}
{{- range concat (get $needs $step | default list) (ternary (list " pods list") list (not (empty $lifted))) }}
{{- $parts := splitList " " . }}
{{- $key := join " " (initial $parts) }}
{{- $_ := set $rules $key (append (get $rules $key | default list) (last $parts) | uniq | sortAlpha) }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
{{- range $key, $verbs := $rules }}
{{- $parts := splitList " " $key }}
- apiGroups: [{{ first $parts | quote }}]
  resources: [{{ last $parts }}]
  verbs: [{{ join ", " $verbs }}]
{{- end }}
{{- with .Values.respond.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An option's variable is its name in capitals. */}}
{{- define "falco-nats.respond.env" -}}
{{- $respond := .Values.respond }}
{{- $values := pick $respond "connectionName" "user" "tlsfirst" "stream" "inboxPrefix" "logLevel" "logFormat" }}
{{- $_ := set $values "server" (include "falco-nats.respond.server" .) }}
{{- $_ = set $values "metricsAddress" (printf ":%v" $respond.metrics.port) }}
{{- range $option, $from := include "falco-nats.files" (dict "Values" (dict "natsOutput" $respond)) | fromYaml }}
{{- $_ = set $values $option (printf "/etc/falco-nats/%s" $option) }}
{{- end }}
- name: POD_NAME
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
# It is protected as well.
- name: POD_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
{{- range $option, $value := $values }}
{{- if not (has (toString $value) (list "" "false")) }}
- name: FALCO_NATS_{{ $option | snakecase | upper }}
  value: {{ toString $value | quote }}
{{- end }}
{{- end }}
{{- with $respond.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
