{{- define "tallymark.name" -}}
{{- if contains "tallymark" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-tallymark" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "tallymark.selector" -}}
app.kubernetes.io/name: tallymark
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "tallymark.labels" -}}
{{ include "tallymark.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "tallymark.checked" -}}
{{- if not (or .Values.trustNetwork .Values.tls.secretName) }}
{{- fail "set tls.secretName, with access control, or trustNetwork=true if only the network protects the service" }}
{{- end }}
{{- if and (eq .Values.storage.engine "postgres") (not .Values.storage.postgres.secretName) }}
{{- fail "set storage.postgres.secretName to a secret whose key `url` has the address of the database" }}
{{- end }}
{{- if and (eq .Values.storage.engine "postgres") .Values.backups.to }}
{{- fail "backups.to is for SQLite; back PostgreSQL up with its own tools" }}
{{- end }}
{{- end }}

{{- define "tallymark.pod" -}}
metadata:
  labels:
    {{- include "tallymark.labels" . | nindent 4 }}
  {{- with .Values.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "tallymark.name" . }}
  automountServiceAccountToken: false
  # Calls under way and health checks have ten seconds each.
  terminationGracePeriodSeconds: 40
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: tallymark
      image: "{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}"
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: [ALL]
      ports:
        - {name: grpc, containerPort: 50051}
        - {name: http, containerPort: 8080}
        - {name: metrics, containerPort: 9464}
      env:
        {{- if eq .Values.storage.engine "postgres" }}
        - name: TALLYMARK_DB
          valueFrom:
            secretKeyRef:
              name: {{ .Values.storage.postgres.secretName }}
              key: {{ .Values.storage.postgres.secretKey }}
        {{- end }}
        {{- if .Values.trustNetwork }}
        - {name: TALLYMARK_TRUST_NETWORK, value: "1"}
        {{- end }}
        {{- if .Values.tls.secretName }}
        - {name: TALLYMARK_TLS_CERT, value: /etc/tallymark/tls/tls.crt}
        - {name: TALLYMARK_TLS_KEY, value: /etc/tallymark/tls/tls.key}
        {{- end }}
        {{- if .Values.tls.clientCaSecretName }}
        - {name: TALLYMARK_CLIENT_CA, value: /etc/tallymark/client-ca/ca.crt}
        {{- end }}
        {{- with .Values.backups }}
        {{- if .to }}
        - {name: TALLYMARK_BACKUP_TO, value: {{ .to | quote }}}
        - {name: TALLYMARK_BACKUP_EVERY, value: {{ .every | quote }}}
        - {name: TALLYMARK_BACKUP_KEEP, value: {{ .keep | quote }}}
        {{- end }}
        {{- end }}
        {{- range $name, $value := .Values.settings }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- with .Values.envFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      # A file of an earlier release is migrated before the service answers.
      startupProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 2
        failureThreshold: 300
      livenessProbe:
        httpGet: {path: /healthz, port: metrics}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: metrics}
        periodSeconds: 5
        timeoutSeconds: 5
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        {{- if eq .Values.storage.engine "sqlite" }}
        - {name: data, mountPath: /data}
        {{- end }}
        {{- if .Values.tls.secretName }}
        - {name: tls, mountPath: /etc/tallymark/tls, readOnly: true}
        {{- end }}
        {{- if .Values.tls.clientCaSecretName }}
        - {name: client-ca, mountPath: /etc/tallymark/client-ca, readOnly: true}
        {{- end }}
  volumes:
    - name: tmp
      emptyDir: {}
    {{- if .Values.tls.secretName }}
    - name: tls
      secret:
        secretName: {{ .Values.tls.secretName }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.tls.clientCaSecretName }}
    - name: client-ca
      secret:
        secretName: {{ .Values.tls.clientCaSecretName }}
        defaultMode: 0440
    {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if eq .Values.storage.engine "postgres" }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "tallymark.selector" . | nindent 10 }}
  {{- end }}
{{- end }}
