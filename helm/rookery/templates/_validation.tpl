{{- /* What a schema cannot say. */ -}}
{{- define "rookery.validate" -}}
{{- $rpc := .Values.rpc -}}
{{- $ways := 0 -}}
{{- $given := list -}}
{{- $missing := list -}}
{{- range $key, $_ := include "rookery.services" . | fromJson -}}
{{- if get $rpc.tls.existingSecrets $key -}}{{- $given = append $given $key -}}{{- else -}}{{- $missing = append $missing $key -}}{{- end -}}
{{- end -}}
{{- range list $rpc.insecure (gt (len $given) 0) $rpc.tls.certManager.enabled -}}
{{- if . -}}{{- $ways = add1 $ways -}}{{- end -}}
{{- end -}}
{{- if ne (int $ways) 1 -}}
{{- fail "exactly one of rpc.tls.existingSecrets, rpc.tls.certManager.enabled and rpc.insecure must be given" -}}
{{- end -}}
{{- if and $given $missing -}}
{{- fail (printf "rpc.tls.existingSecrets: nothing for %s; each service has a certificate of its own" (join ", " $missing)) -}}
{{- end -}}
{{- if and $rpc.tls.certManager.enabled (not $rpc.tls.certManager.issuerRef.name) -}}
{{- fail "rpc.tls.certManager.issuerRef.name is missing" -}}
{{- end -}}
{{- $sslmode := .Values.postgresql.sslmode -}}
{{- if hasPrefix "verify-" $sslmode -}}
{{- if .Values.postgresql.insecure -}}
{{- fail (printf "postgresql.insecure is set, and postgresql.sslmode is %s: one of them is a mistake" $sslmode) -}}
{{- end -}}
{{- if not .Values.postgresql.caSecret.name -}}
{{- fail (printf "postgresql.sslmode %s needs postgresql.caSecret" $sslmode) -}}
{{- end -}}
{{- else if not .Values.postgresql.insecure -}}
{{- fail (printf "postgresql.sslmode %s: nobody checks who the server is; verify-full does, or postgresql.insecure must say that whoever answers is believed" $sslmode) -}}
{{- end -}}
{{- range $backend := list "redis" "kafka" "postgresql" -}}
{{- $signIns := include "rookery.signIns" (dict "backend" (get $.Values $backend)) | fromJson -}}
{{- if and $signIns.without (or $signIns.with (eq $backend "postgresql")) -}}
{{- fail (printf "%s: no password for %s; %s.passwordsSecret, or passwordSecret.name of the user, is needed" $backend (join ", " $signIns.without) $backend) -}}
{{- end -}}
{{- if ne $backend "postgresql" -}}
{{- $isInsecure := (get $.Values $backend).insecure -}}
{{- if and (not $signIns.with) (not $isInsecure) -}}
{{- fail (printf "%s: no passwords; %s.passwordsSecret is needed, or %s.insecure must say that everybody is let in" $backend $backend $backend) -}}
{{- end -}}
{{- if and $signIns.with $isInsecure -}}
{{- fail (printf "%s.insecure is set, and so are passwords: one of them is a mistake" $backend) -}}
{{- end -}}
{{- end -}}
{{- if and (eq $backend "kafka") $signIns.with (eq $.Values.kafka.saslMechanism "PLAIN") (not $.Values.kafka.tls) -}}
{{- fail "kafka.saslMechanism PLAIN needs kafka.tls: it would show the passwords to the network" -}}
{{- end -}}
{{- end -}}
{{- if and .Values.kafka.caSecret.name (not .Values.kafka.tls) -}}
{{- fail "kafka.caSecret is of no use without kafka.tls" -}}
{{- end -}}
{{- if and .Values.metrics.serviceMonitor.enabled .Values.networkPolicy.enabled (not .Values.networkPolicy.monitoring) -}}
{{- fail "metrics.serviceMonitor needs networkPolicy.monitoring: who may read /metrics" -}}
{{- end -}}
{{- $doors := 0 -}}
{{- range (include "rookery.components" . | fromJson).components -}}
{{- $name := .name -}}
{{- $scaling := .settings.autoscaling -}}
{{- if $scaling.enabled -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- fail (printf "%s: autoscaling.minReplicas is above maxReplicas" $name) -}}
{{- end -}}
{{- if and (eq (int $scaling.cpuUtilization) 0) (not $scaling.podMetrics) -}}
{{- fail (printf "%s: autoscaling needs cpuUtilization or podMetrics" $name) -}}
{{- end -}}
{{- end -}}
{{- $most := ternary $scaling.maxReplicas .settings.replicas $scaling.enabled | int -}}
{{- if and .hasKafka (gt $most (int $.Values.kafka.partitions)) -}}
{{- fail (printf "%s: more replicas (%d) than kafka.partitions (%d): the others would own nothing" $name $most (int $.Values.kafka.partitions)) -}}
{{- end -}}
{{- $budget := .settings.podDisruptionBudget -}}
{{- if and $budget.enabled (eq (toString $budget.maxUnavailable) "") (eq (toString $budget.minAvailable) "") -}}
{{- fail (printf "%s: podDisruptionBudget needs maxUnavailable or minAvailable" $name) -}}
{{- end -}}
{{- if and $budget.enabled (ne (toString $budget.maxUnavailable) "") (ne (toString $budget.minAvailable) "") -}}
{{- fail (printf "%s: podDisruptionBudget takes one of maxUnavailable and minAvailable" $name) -}}
{{- end -}}
{{- if eq .service "gateway" -}}
{{- $doors = add1 $doors -}}
{{- $settings := .settings -}}
{{- $listeners := include "rookery.listeners" . | fromJson -}}
{{- if not $listeners -}}
{{- fail (printf "%s: no listener is enabled" $name) -}}
{{- end -}}
{{- $ports := list $.Values.admin.port -}}
{{- range $listener, $options := $listeners -}}
{{- if has $options.port $ports -}}
{{- fail (printf "%s: two listeners have port %d" $name (int $options.port)) -}}
{{- end -}}
{{- $ports = append $ports $options.port -}}
{{- $plain := or (eq $listener "websocket") (and (eq $listener "xmpp") (eq (toString $options.tls) "off")) -}}
{{- if and (not $plain) (not $settings.tls.certificates) -}}
{{- fail (printf "%s: the listener %s needs gateway.tls.certificates" $name $listener) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $doors -}}
{{- fail "no door of the gateway is enabled" -}}
{{- end -}}
{{- end -}}
