{{- /*
The service's YAML: (dict "root" $ "component" …). What is the process's own (its name, its address) and
every secret come from the environment, see rookery.environment.
*/ -}}
{{- define "rookery.config" -}}
{{- $root := .root -}}
{{- $values := $root.Values -}}
{{- $component := .component -}}
{{- $settings := $component.settings -}}
{{- $anywhere := ternary "[::]" "0.0.0.0" $values.network.ipv6 -}}
{{- $own := dict
  "log" (dict "level" $values.log.level)
  "admin" (dict "address" (printf "%s:%d" $anywhere (int $values.admin.port)))
  "drain-timeout" (printf "%ds" (int $settings.drainSeconds))
  "redis" (dict "addresses" $values.redis.addresses "cluster" $values.redis.cluster "timeout" $values.redis.timeout)
  "rpc" dict
-}}
{{- if include "rookery.rpcSecret" $root -}}
{{- $_ := set $own.rpc "tls" (dict "ca-file" "/etc/rookery/rpc/ca.crt" "certificate-file" "/etc/rookery/rpc/tls.crt" "key-file" "/etc/rookery/rpc/tls.key") -}}
{{- end -}}
{{- if $component.hasRpc -}}
{{- $_ := set $own.rpc "address" (printf "%s:%d" $anywhere (int $values.rpc.port)) -}}
{{- $_ := set $own.rpc "insecure" $values.rpc.insecure -}}
{{- end -}}
{{- if $component.hasKafka -}}
{{- $kafka := dict "brokers" $values.kafka.brokers "topic-prefix" $values.kafka.topicPrefix "partitions" $values.kafka.partitions "replication-factor" $values.kafka.replicationFactor "max-record-bytes" $values.kafka.maxRecordBytes -}}
{{- $properties := include "rookery.kafkaProperties" $root | fromJsonArray -}}
{{- /* With a password they are in the environment, which would win. */ -}}
{{- if and $properties (not $values.kafka.username) -}}
{{- $_ := set $kafka "properties" $properties -}}
{{- end -}}
{{- $_ := set $own "kafka" $kafka -}}
{{- end -}}
{{- if $component.hasDatabase -}}
{{- $pg := $values.postgresql -}}
{{- $connection := printf "host=%s port=%d dbname=%s user=%s sslmode=%s" $pg.host (int $pg.port) $pg.database $pg.user $pg.sslmode -}}
{{- if $pg.caSecret.name -}}
{{- $connection = printf "%s sslrootcert=/etc/rookery/postgresql-ca/ca.crt" $connection -}}
{{- end -}}
{{- $_ := set $own "pg" (dict "connection" $connection "connections" $pg.connections "timeout" $pg.timeout) -}}
{{- end -}}
{{- if has $component.service (list "gateway" "session-manager") -}}
{{- $_ := set $own "domains" $values.domains -}}
{{- $_ := set $own "registration" (dict "enabled" $values.registration.enabled) -}}
{{- end -}}
{{- if eq $component.service "session-manager" -}}
{{- $_ := set $own "scram" (dict "iterations" $values.scram.iterations) -}}
{{- end -}}
{{- if eq $component.service "gateway" -}}
{{- $_ := set $own "sasl" (dict "iterations" $values.scram.iterations) -}}
{{- $_ := set $own "limits" (dict "max-record-bytes" $values.kafka.maxRecordBytes) -}}
{{- $listeners := dict -}}
{{- range $name, $listener := include "rookery.listeners" $component | fromJson -}}
{{- $options := dict "address" (printf "%s:%d" $anywhere (int $listener.port)) -}}
{{- if eq $name "xmpp" -}}{{- $_ := set $options "tls" (default "required" $listener.tls) -}}{{- end -}}
{{- $_ := set $listeners $name $options -}}
{{- end -}}
{{- $_ := set $own "listeners" $listeners -}}
{{- $certificates := list -}}
{{- range $number, $certificate := $settings.tls.certificates -}}
{{- $files := printf "/etc/rookery/tls/%d/tls.crt:/etc/rookery/tls/%d/tls.key" $number $number -}}
{{- $certificates = append $certificates (ternary (printf "%s=%s" $certificate.domain $files) $files (ne (default "" $certificate.domain) "")) -}}
{{- end -}}
{{- $tls := dict -}}
{{- if $certificates -}}{{- $_ := set $tls "certificates" $certificates -}}{{- end -}}
{{- if $settings.tls.clientCaSecret.name -}}{{- $_ := set $tls "client-ca-file" "/etc/rookery/client-ca/ca.crt" -}}{{- end -}}
{{- $_ := set $own "tls" $tls -}}
{{- end -}}
{{- include "rookery.merged" (list $settings.config $own) | fromJson | toYaml -}}
{{- end -}}

{{- /* librdkafka's properties, as a JSON list. */ -}}
{{- define "rookery.kafkaProperties" -}}
{{- $properties := .Values.kafka.properties -}}
{{- if .Values.kafka.caSecret.name -}}
{{- $properties = append $properties "ssl.ca.location=/etc/rookery/kafka-ca/ca.crt" -}}
{{- end -}}
{{- if .Values.kafka.username -}}
{{- $properties = append $properties (printf "sasl.username=%s" .Values.kafka.username) -}}
{{- $properties = append $properties "sasl.password=$(KAFKA_PASSWORD)" -}}
{{- end -}}
{{- $properties | toJson -}}
{{- end -}}

{{- define "rookery.environment" -}}
{{- $values := .root.Values -}}
{{- $component := .component -}}
- name: {{ $component.variable }}INSTANCE
  valueFrom:
    fieldRef:
      fieldPath: metadata.name
{{- if $component.hasRpc }}
- name: POD_IP
  valueFrom:
    fieldRef:
      fieldPath: status.podIP
- name: {{ $component.variable }}RPC__ADVERTISED_ADDRESS
  value: {{ printf (ternary "[$(POD_IP)]:%d" "$(POD_IP):%d" $values.network.ipv6) (int $values.rpc.port) | quote }}
{{- end }}
{{- if $values.log.jidKeySecret.name }}
- name: ROOKERY_LOG_JID_KEY
  valueFrom:
    secretKeyRef:
      name: {{ $values.log.jidKeySecret.name }}
      key: {{ $values.log.jidKeySecret.key }}
{{- end }}
{{- if $values.redis.passwordSecret.name }}
- name: {{ $component.variable }}REDIS__PASSWORD_FILE
  value: /etc/rookery/redis/password
{{- end }}
{{- if and $component.hasKafka $values.kafka.username }}
- name: KAFKA_PASSWORD
  valueFrom:
    secretKeyRef:
      name: {{ $values.kafka.passwordSecret.name }}
      key: {{ $values.kafka.passwordSecret.key }}
- name: {{ $component.variable }}KAFKA__PROPERTIES
  value: {{ include "rookery.kafkaProperties" .root | fromJsonArray | join "," | quote }}
{{- end }}
{{- if $component.hasDatabase }}
- name: {{ $component.variable }}PG__PASSWORD_FILE
  value: /etc/rookery/postgresql/password
{{- end }}
{{- if eq $component.service "gateway" }}
- name: {{ $component.variable }}SASL__FAKE_SALT_KEY_FILE
  value: /etc/rookery/fake-salt/key
{{- end }}
{{- end -}}

{{- /* What is mounted, as a JSON list of {name, path, secret, items: [{key, path}]}; without items the secret whole. */ -}}
{{- define "rookery.secretFiles" -}}
{{- $values := .root.Values -}}
{{- $component := .component -}}
{{- $files := list -}}
{{- with include "rookery.rpcSecret" .root -}}
{{- $files = append $files (dict "name" "rpc" "secret" .) -}}
{{- end -}}
{{- with $values.redis.passwordSecret -}}
{{- if .name -}}{{- $files = append $files (dict "name" "redis" "secret" .name "key" .key "file" "password") -}}{{- end -}}
{{- end -}}
{{- if and $component.hasKafka $values.kafka.caSecret.name -}}
{{- $files = append $files (dict "name" "kafka-ca" "secret" $values.kafka.caSecret.name "key" $values.kafka.caSecret.key "file" "ca.crt") -}}
{{- end -}}
{{- if $component.hasDatabase -}}
{{- $files = append $files (dict "name" "postgresql" "secret" $values.postgresql.passwordSecret.name "key" $values.postgresql.passwordSecret.key "file" "password") -}}
{{- with $values.postgresql.caSecret -}}
{{- if .name -}}{{- $files = append $files (dict "name" "postgresql-ca" "secret" .name "key" .key "file" "ca.crt") -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if eq $component.service "gateway" -}}
{{- with $component.settings.fakeSaltKeySecret -}}
{{- $files = append $files (dict "name" "fake-salt" "secret" .name "key" .key "file" "key") -}}
{{- end -}}
{{- range $number, $certificate := $component.settings.tls.certificates -}}
{{- $files = append $files (dict "name" (printf "tls-%d" $number) "path" (printf "tls/%d" $number) "secret" $certificate.secretName) -}}
{{- end -}}
{{- with $component.settings.tls.clientCaSecret -}}
{{- if .name -}}{{- $files = append $files (dict "name" "client-ca" "secret" .name "key" .key "file" "ca.crt") -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- $files | toJson -}}
{{- end -}}
