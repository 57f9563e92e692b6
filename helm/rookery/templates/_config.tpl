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
  "rpc" (dict "insecure" $values.rpc.insecure)
-}}
{{- with (include "rookery.credentials" (dict "backend" $values.redis "key" $component.key) | fromJson).user -}}
{{- $_ := set $own.redis "user" . -}}
{{- end -}}
{{- if include "rookery.rpcSecret" (dict "root" $root "key" $component.key) -}}
{{- $ca := ternary "rpc-ca" "rpc" (ne $values.rpc.tls.caSecret.name "") -}}
{{- $_ := set $own.rpc "tls" (dict "ca-file" (printf "/etc/rookery/%s/ca.crt" $ca) "certificate-file" "/etc/rookery/rpc/tls.crt" "key-file" "/etc/rookery/rpc/tls.key") -}}
{{- end -}}
{{- if $component.hasRpc -}}
{{- $_ := set $own.rpc "address" (printf "%s:%d" $anywhere (int $values.rpc.port)) -}}
{{- end -}}
{{- if $component.hasKafka -}}
{{- $kafka := dict "brokers" $values.kafka.brokers "topic-prefix" $values.kafka.topicPrefix "partitions" $values.kafka.partitions "replication-factor" $values.kafka.replicationFactor "max-record-bytes" $values.kafka.maxRecordBytes -}}
{{- with $values.kafka.properties -}}{{- $_ := set $kafka "properties" . -}}{{- end -}}
{{- with (include "rookery.credentials" (dict "backend" $values.kafka "key" $component.key) | fromJson).user -}}
{{- $_ := set $kafka "user" . -}}
{{- $_ := set $kafka "sasl-mechanism" $values.kafka.saslMechanism -}}
{{- end -}}
{{- $_ := set $kafka "tls" $values.kafka.tls -}}
{{- if $values.kafka.caSecret.name -}}{{- $_ := set $kafka "ca-file" "/etc/rookery/kafka-ca/ca.crt" -}}{{- end -}}
{{- $_ := set $own "kafka" $kafka -}}
{{- end -}}
{{- if $component.hasDatabase -}}
{{- $pg := $values.postgresql -}}
{{- $user := (include "rookery.credentials" (dict "backend" $pg "key" $component.key) | fromJson).user -}}
{{- $connection := printf "host=%s port=%d dbname=%s user=%s sslmode=%s" $pg.host (int $pg.port) $pg.database $user $pg.sslmode -}}
{{- if $pg.caSecret.name -}}
{{- $connection = printf "%s sslrootcert=/etc/rookery/postgresql-ca/ca.crt" $connection -}}
{{- end -}}
{{- $_ := set $own "pg" (dict "connection" $connection "connections" $pg.connections "timeout" $pg.timeout) -}}
{{- end -}}
{{- if has $component.service (list "gateway" "session-manager" "muc") -}}
{{- $_ := set $own "domains" $values.domains -}}
{{- end -}}
{{- if has $component.service (list "gateway" "session-manager") -}}
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
{{- if (include "rookery.credentials" (dict "backend" $values.redis "key" $component.key) | fromJson).secret }}
- name: {{ $component.variable }}REDIS__PASSWORD_FILE
  value: /etc/rookery/redis/password
{{- end }}
{{- if $component.hasKafka }}
{{- if (include "rookery.credentials" (dict "backend" $values.kafka "key" $component.key) | fromJson).secret }}
- name: {{ $component.variable }}KAFKA__PASSWORD_FILE
  value: /etc/rookery/kafka/password
{{- end }}
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
{{- with include "rookery.rpcSecret" (dict "root" .root "key" $component.key) -}}
{{- $files = append $files (dict "name" "rpc" "secret" .) -}}
{{- with $values.rpc.tls.caSecret -}}
{{- if .name -}}{{- $files = append $files (dict "name" "rpc-ca" "secret" .name "key" .key "file" "ca.crt") -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- /* Of a secret with everybody's passwords a pod is given its own alone. */ -}}
{{- $backends := dict "redis" true "kafka" $component.hasKafka "postgresql" $component.hasDatabase -}}
{{- range $backend, $used := $backends -}}
{{- if $used -}}
{{- with include "rookery.credentials" (dict "backend" (get $values $backend) "key" $component.key) | fromJson -}}
{{- if .secret -}}{{- $files = append $files (dict "name" $backend "secret" .secret "key" .key "file" "password") -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and $component.hasKafka $values.kafka.caSecret.name -}}
{{- $files = append $files (dict "name" "kafka-ca" "secret" $values.kafka.caSecret.name "key" $values.kafka.caSecret.key "file" "ca.crt") -}}
{{- end -}}
{{- if $component.hasDatabase -}}
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
