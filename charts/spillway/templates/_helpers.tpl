{{- define "spillway.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* No dots, which a release may have: the Service and the Lease must not. */}}
{{- define "spillway.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" }}
{{- else if contains (include "spillway.name" .) .Release.Name }}
{{- .Release.Name | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "spillway.name" .) | replace "." "-" | trunc 63 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{/* Of the Service: at most 63 characters, and a letter first. */}}
{{- define "spillway.metricsName" -}}
{{- $name := include "spillway.fullname" . | trunc 54 | trimSuffix "-" }}
{{- if regexMatch "^[0-9]" $name }}s{{ end }}{{ $name }}-metrics
{{- end }}

{{/*
Of what belongs to no namespace: releases of one name in two namespaces would else claim the same object. Neither part may
have a dot, so no two are alike.
*/}}
{{- define "spillway.clusterName" -}}
{{ include "spillway.fullname" . }}.{{ .Release.Namespace }}
{{- end }}

{{- define "spillway.selectorLabels" -}}
app.kubernetes.io/name: {{ include "spillway.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{- define "spillway.labels" -}}
{{- $own := fromYaml (include "spillway.selectorLabels" .) }}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion }}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service }}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") }}
{{- toYaml (merge (dict) $own (default (dict) .Values.commonLabels)) }}
{{- end }}

{{/*
The metadata of an object, of a dict: root (the chart's context), name, and where there are any namespace,
labels (beside the chart's) and annotations (beside the common ones).
*/}}
{{- define "spillway.metadata" -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- toYaml (merge (dict) (default (dict) .labels) (fromYaml (include "spillway.labels" .root))) | nindent 2 }}
{{- with merge (dict) (default (dict) .annotations) (default (dict) .root.Values.commonAnnotations) }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "spillway.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "spillway.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{- define "spillway.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}
{{- end }}

{{/* What Spillway may do where it looks after scalers. Each rule names the call it is there for. */}}
{{- define "spillway.rules" -}}
# Its own resources: read and followed, never created, changed or deleted.
- apiGroups: [spillway.dev]
  resources: [consumerscalers, kafkaconnections]
  verbs: [list, watch]
# What it reports in them.
- apiGroups: [spillway.dev]
  resources: [consumerscalers/status, kafkaconnections/status]
  verbs: [patch]
# Replicas, through the scale subresource alone: it cannot change a pod template.
- apiGroups: [apps]
  resources: [deployments/scale, statefulsets/scale]
  verbs: [update]
{{- range .Values.rbac.extraScaleTargets }}
- apiGroups: [{{ .apiGroup | quote }}]
  resources: [{{ printf "%s/scale" .resource | quote }}]
  verbs: [get, update]
{{- end }}
# Their replicas, pod template and readiness: what was learnt belongs to a template.
- apiGroups: [apps]
  resources: [deployments, statefulsets]
  verbs: [get]
# Other autoscalers: two on one workload would fight, so it refuses.
- apiGroups: [autoscaling]
  resources: [horizontalpodautoscalers]
  verbs: [list]
- apiGroups: [keda.sh]
  resources: [scaledobjects]
  verbs: [list]
# What it says on `kubectl describe`.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- if .Values.rbac.allSecrets }}
# Logins and certificates: rbac.allSecrets.
- apiGroups: [""]
  resources: [secrets]
  verbs: [get]
{{- else if .Values.rbac.secretNames }}
# Logins and certificates: rbac.secretNames.
- apiGroups: [""]
  resources: [secrets]
  resourceNames: {{ toJson .Values.rbac.secretNames }}
  verbs: [get]
{{- end }}
{{- end }}

{{/* The operator, as the subject of a binding. */}}
{{- define "spillway.subjects" -}}
subjects:
  - kind: ServiceAccount
    name: {{ include "spillway.serviceAccountName" . | quote }}
    namespace: {{ .Release.Namespace | quote }}
{{- end }}

{{/*
Whether to make an object of the Prometheus Operator: "true" or nothing. Of a dict: root, kind, and the
value that asks for it.
*/}}
{{- define "spillway.monitoring" -}}
{{- $known := .root.Capabilities.APIVersions }}
{{- if or ($known.Has "monitoring.coreos.com/v1") ($known.Has (printf "monitoring.coreos.com/v1/%s" .kind)) -}}
true
{{- else if ne (toString .root.Values.metrics.ifKindMissing) "Skip" }}
{{- fail (printf "%s asks for a %s, a kind that the cluster does not know: install the definitions of the Prometheus Operator, or set metrics.ifKindMissing=Skip to go without. Rendering without a cluster: add --api-versions monitoring.coreos.com/v1" .asks .kind) }}
{{- end }}
{{- end }}

{{/*
How to scrape, for a PodMonitor as for a ServiceMonitor. The labels of the series win over those of the
target: `namespace` is the scaler's, not the operator's.
*/}}
{{- define "spillway.endpoint" -}}
- port: http
  path: /metrics
  honorLabels: true
  {{- with .interval }}
  interval: {{ . }}
  {{- end }}
  {{- with .scrapeTimeout }}
  scrapeTimeout: {{ . }}
  {{- end }}
  {{- with .relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
