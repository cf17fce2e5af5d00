{{/*
What a text among the values must look like. It is said here, in words, and not by the schema: of a pattern Helm would
show the expression alone. Numbers, types and keys are the schema's.
*/}}
{{- define "spillway.check" -}}
{{- $label := `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$` }}
{{- $name := `^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$` }}
{{- $words := "lower case letters, digits and -, a letter or a digit first and last" }}
{{- $told := list }}
{{- range $key := list "nameOverride" "fullnameOverride" }}
{{- $told = append $told (include "spillway.must" (list $key (get $.Values $key) (printf "^$|%s" $label) $words)) }}
{{- end }}
{{- with .Values.grafanaDashboard }}
{{- $told = append $told (include "spillway.must" (list "grafanaDashboard.namespace" .namespace (printf "^$|%s" $label) "the name of a namespace, or nothing for the release's")) }}
{{- end }}
{{- $told = append $told (include "spillway.must" (list "image.digest" .Values.image.digest `^(sha256:[0-9a-f]{64})?$` "sha256: and 64 digits of 0-9 and a-f, as the registry says it, or nothing to go by the tag")) }}
{{- $told = append $told (include "spillway.must" (list "lease.duration" .Values.lease.duration `^(([3-9]|[1-9][0-9]|[12][0-9][0-9]|300)s|[1-4]m([1-5]?[0-9]s)?|5m)$` "a time from 3s to 5m in whole seconds, such as 15s or 1m30s")) }}
{{- $level := `([^,= ]+=)?(error|warn|info|debug|trace|off)` }}
{{- $told = append $told (include "spillway.must" (list "log.level" .Values.log.level (printf "^%s(,%s)*$" $level $level) "error, warn, info, debug, trace or off, also for a part: info,spillway::kafka=debug")) }}
{{- range $i, $namespace := .Values.watchNamespaces }}
{{- $told = append $told (include "spillway.must" (list (printf "watchNamespaces[%d]" $i) $namespace $label "the name of a namespace")) }}
{{- end }}
{{- range $i, $secret := .Values.rbac.secretNames }}
{{- $told = append $told (include "spillway.must" (list (printf "rbac.secretNames[%d]" $i) $secret $name "the name of a Secret, without its namespace")) }}
{{- end }}
{{- range $i, $kind := .Values.rbac.extraScaleTargets }}
{{- $at := printf "rbac.extraScaleTargets[%d]" $i }}
{{- $told = append $told (include "spillway.must" (list (printf "%s.apiGroup" $at) $kind.apiGroup $name "the group without a version: argoproj.io")) }}
{{- $told = append $told (include "spillway.must" (list (printf "%s.resource" $at) $kind.resource `^[a-z][a-z0-9]*$` "the plural, in lower case: rollouts, not Rollout")) }}
{{- end }}
{{- range $monitor := list "podMonitor" "serviceMonitor" }}
{{- range $key := list "interval" "scrapeTimeout" }}
{{- $told = append $told (include "spillway.must" (list (printf "metrics.%s.%s" $monitor $key) (dig $monitor $key "" $.Values.metrics) `^([0-9]+(ms|s|m|h))?$` "a time such as 30s, or nothing for your Prometheus's")) }}
{{- end }}
{{- end }}
{{- $told = append $told (include "spillway.must" (list "podDisruptionBudget.maxUnavailable" .Values.podDisruptionBudget.maxUnavailable `^$|^[1-9][0-9]*$|^[1-9][0-9]?%$|^100%$` "a number from 1, or a percentage from 1% to 100%")) }}
{{- if not (or .Values.serviceAccount.create .Values.serviceAccount.name) }}
{{- $told = append $told "serviceAccount.name is empty, and serviceAccount.create is false: write the name of the account that is to have Spillway's rights" }}
{{- end }}
{{- if .Values.networkPolicy.enabled }}
{{- range $key := list "apiServerPorts" "kafkaPorts" }}
{{- if not (get $.Values.networkPolicy $key) }}
{{- $told = append $told (printf "networkPolicy.%s is empty, which would open every port: write those that are needed, or leave the key out" $key) }}
{{- end }}
{{- end }}
{{- end }}
{{- with without $told "" }}
{{- $told = printf "values that nothing would start with:\n- %s" (join "\n- " .) }}
{{- fail $told }}
{{- /* `helm lint` goes on after `fail`: what cannot be parsed ends it. */}}
{{ printf "[%s" $told }}
{{- end }}
{{- end }}

{{/* What is wrong with a value, or nothing. Of a list: its key, the value, what it must match, what to write. */}}
{{- define "spillway.must" -}}
{{- $value := index . 1 | default "" | toString }}
{{- if not (regexMatch (index . 2) $value) }}
{{- printf "%s is %s: write %s" (index . 0) (empty $value | ternary "empty" (quote $value)) (index . 3) }}
{{- end }}
{{- end }}
