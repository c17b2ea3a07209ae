{{- define "keyweir.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "keyweir.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: injector
{{- end -}}

{{- define "keyweir.labels" -}}
{{ include "keyweir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: keyweir
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "keyweir.serviceAccount" -}}
{{- default (include "keyweir.fullname" .) .Values.injector.serviceAccount.name -}}
{{- end -}}

{{- define "keyweir.certificates" -}}
{{- default (printf "%s-certificates" (include "keyweir.fullname" .)) .Values.certificates.secretName -}}
{{- end -}}

{{- define "keyweir.caBundle" -}}
{{- if eq .Values.certificates.source "secret" -}}
{{- .Values.certificates.caBundle | b64enc -}}
{{- end -}}
{{- end -}}

{{- define "keyweir.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{/* CEL: the pod has a keyweir.dev/ key of its own, and does not say "false" (an annotation beats a label). */}}
{{- define "keyweir.cel.marked" -}}
(has(object.metadata.annotations) && object.metadata.annotations.exists(k, k.startsWith('keyweir.dev/'))) || (has(object.metadata.labels) && object.metadata.labels.exists(k, k.startsWith('keyweir.dev/')))
{{- end -}}

{{- define "keyweir.cel.notOptedOut" -}}
has(object.metadata.annotations) && 'keyweir.dev/inject' in object.metadata.annotations ? object.metadata.annotations['keyweir.dev/inject'] != 'false' : !(has(object.metadata.labels) && 'keyweir.dev/inject' in object.metadata.labels && object.metadata.labels['keyweir.dev/inject'] == 'false')
{{- end -}}
