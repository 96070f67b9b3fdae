{{/*
The official chart has no value for a whole sidecar, but template names are global and the parent's
wins. So this takes the place of the template by which that chart fits its values to falcosidekick, and
which it includes before it renders falco.yaml and the pod. It does the same, and then ours.
A test compares the original with the one this was written for.
*/}}
{{- define "falco.falcosidekickConfig" -}}
{{- if .Values.falcosidekick.enabled }}
{{- $http := dict "enabled" true "url" (include "falcosidekick.url" .) }}
{{- $_ := mergeOverwrite .Values.falco (dict "json_output" true "json_include_output_property" true "http_output" $http) }}
{{- end }}
{{- if eq (include "falco-nats.enabled" .) "true" }}
{{- $_ := include "falco-nats.apply" . }}
{{- end }}
{{- end }}

{{/* Fits Falco's values. It runs several times for one render, as its caller does. */}}
{{- define "falco-nats.apply" }}
{{- if not (hasKey .Values "natsOutputApplied") }}
{{- include "falco-nats.validate" . }}
{{- $nats := .Values.natsOutput }}
{{- $falco := .Values.falco }}
{{- $_ := set $falco "json_output" true }}
{{/* keep_alive: true loses alerts in silence once the sidecar has restarted. */}}
{{- $_ = set $falco "file_output" (dict "enabled" true "keep_alive" false "filename" $nats.pipe) }}
{{- if not (dig "outputs_queue" "capacity" 0 $falco) }}
{{- $_ = set $falco "outputs_queue" (dict "capacity" (int64 $nats.outputsQueueCapacity)) }}
{{- end }}
{{- $sidecar := include "falco-nats.sidecar" . | fromYaml }}
{{- $_ = set .Values.extra "initContainers" (prepend (.Values.extra.initContainers | default list) $sidecar) }}
{{- $volumes := include "falco-nats.volumes" . | fromYamlArray }}
{{- $_ = set .Values.mounts "volumes" (concat (.Values.mounts.volumes | default list) $volumes) }}
{{- $mount := dict "name" "falco-nats-pipe" "mountPath" (dir $nats.pipe) }}
{{- $_ = set .Values.mounts "volumeMounts" (append (.Values.mounts.volumeMounts | default list) $mount) }}
{{- $_ = set .Values "natsOutputApplied" true }}
{{- end }}
{{- end }}
