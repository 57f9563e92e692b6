{{- define "rookery.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 33 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- /* The longest that is made of it, <fullname>-gateway-<door>-internal, must fit into 63 letters. */ -}}
{{- $full | trunc 33 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- /* (list base over): the two as one, as JSON. Sprig's merges ignore a false, a 0 and an empty text. */ -}}
{{- define "rookery.merged" -}}
{{- $result := deepCopy (index . 0) -}}
{{- range $key, $value := index . 1 -}}
{{- $was := get $result $key -}}
{{- if and (kindIs "map" $was) (kindIs "map" $value) -}}
{{- $_ := set $result $key (include "rookery.merged" (list $was $value) | fromJson) -}}
{{- else -}}
{{- $_ := set $result $key $value -}}
{{- end -}}
{{- end -}}
{{- $result | toJson -}}
{{- end -}}

{{- /*
The workloads, as JSON: {components: [{service, key, door, name, variable, hasRpc, hasKafka, hasDatabase, settings}]}.
`service` is the program's, `key` what values call it, `name` the Deployment's part behind the full name.
*/ -}}
{{- define "rookery.components" -}}
{{- $all := list -}}
{{- range $door, $own := .Values.gateway.doors -}}
{{- if $own.enabled -}}
{{- $base := include "rookery.merged" (list $.Values.defaults (omit $.Values.gateway "doors")) | fromJson -}}
{{- $settings := include "rookery.merged" (list $base $own) | fromJson -}}
{{- $all = append $all (dict "service" "gateway" "key" "gateway" "door" $door "name" (printf "gateway-%s" $door) "variable" "ROOKERY_GATEWAY__" "hasRpc" false "hasKafka" false "hasDatabase" false "settings" $settings) -}}
{{- end -}}
{{- end -}}
{{- range $key, $service := omit (include "rookery.services" . | fromJson) "gateway" -}}
{{- $settings := include "rookery.merged" (list $.Values.defaults (get $.Values $key)) | fromJson -}}
{{- $variable := printf "ROOKERY_%s__" ($service | upper | replace "-" "_") -}}
{{- $all = append $all (dict "service" $service "key" $key "door" "" "name" $service "variable" $variable "hasRpc" true "hasKafka" (ne $service "roster") "hasDatabase" (has $service (list "session-manager" "roster" "muc")) "settings" $settings) -}}
{{- end -}}
{{- dict "components" $all | toJson -}}
{{- end -}}

{{- /* What values call the services, and what they are called elsewhere, as JSON. */ -}}
{{- define "rookery.services" -}}
{{- dict "gateway" "gateway" "sessionManager" "session-manager" "roster" "roster" "muc" "muc" "search" "search" | toJson -}}
{{- end -}}

{{- /* The listeners of a door that are on, as JSON: {name: {port, …}}. */ -}}
{{- define "rookery.listeners" -}}
{{- $on := dict -}}
{{- range $name, $listener := .settings.listeners -}}
{{- if $listener.enabled -}}{{- $_ := set $on $name $listener -}}{{- end -}}
{{- end -}}
{{- $on | toJson -}}
{{- end -}}

{{- define "rookery.objectName" -}}
{{- printf "%s-%s" (include "rookery.fullname" .root) .component.name -}}
{{- end -}}

{{- define "rookery.selectorLabels" -}}
app.kubernetes.io/name: {{ default .root.Chart.Name .root.Values.nameOverride }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component.service }}
{{- if .component.door }}
rookery/door: {{ .component.door }}
{{- end }}
{{- end -}}

{{- /* Pods of a whole service, of all doors: (dict "root" $ "service" "gateway"). */ -}}
{{- define "rookery.serviceLabels" -}}
{{- include "rookery.selectorLabels" (dict "root" .root "component" (dict "service" .service "door" "")) -}}
{{- end -}}

{{- define "rookery.commonLabels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: rookery
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end -}}

{{- define "rookery.labels" -}}
{{ include "rookery.selectorLabels" . }}
{{ include "rookery.commonLabels" .root }}
{{- end -}}

{{- define "rookery.image" -}}
{{- $image := .Values.image -}}
{{- $name := ternary (printf "%s/%s" $image.registry $image.repository) $image.repository (ne $image.registry "") -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $name $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $name (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* The secret with a service's certificate, (dict "root" $ "key" "muc"); empty: no TLS between services. */ -}}
{{- define "rookery.rpcSecret" -}}
{{- if .root.Values.rpc.tls.certManager.enabled -}}
{{- printf "%s-%s-rpc-tls" (include "rookery.fullname" .root) (get (include "rookery.services" .root | fromJson) .key) -}}
{{- else -}}
{{- get .root.Values.rpc.tls.existingSecrets .key -}}
{{- end -}}
{{- end -}}

{{- /*
Whom a service signs in as, (dict "backend" .Values.redis "key" "muc"), as JSON: {user, secret, key}. Without a
secret there is no user either.
*/ -}}
{{- define "rookery.credentials" -}}
{{- $user := get .backend.users .key -}}
{{- $secret := default .backend.passwordsSecret $user.passwordSecret.name -}}
{{- dict "user" (ternary "" $user.name (eq $secret "")) "secret" $secret "key" $user.passwordSecret.key | toJson -}}
{{- end -}}

{{- /* The services that have a password for a backend, (dict "backend" .Values.redis), as JSON: {with: […], without: […]}. */ -}}
{{- define "rookery.signIns" -}}
{{- $backend := .backend -}}
{{- $with := list -}}
{{- $without := list -}}
{{- range $key, $_ := $backend.users -}}
{{- $has := (include "rookery.credentials" (dict "backend" $backend "key" $key) | fromJson).secret -}}
{{- if $has -}}{{- $with = append $with $key -}}{{- else -}}{{- $without = append $without $key -}}{{- end -}}
{{- end -}}
{{- dict "with" $with "without" $without | toJson -}}
{{- end -}}

{{- /* Longer than the hook before SIGTERM and the drain, which ends the process by itself. */ -}}
{{- define "rookery.graceSeconds" -}}
{{- add (int .settings.preStopSeconds) (int .settings.drainSeconds) 10 -}}
{{- end -}}

{{- /*
A rolling update goes on only when the pod that ends is gone: a pod that ends does not count for Kubernetes, so
without this the next shards would move while these are still handed over.
*/ -}}
{{- define "rookery.minReadySeconds" -}}
{{- add (include "rookery.graceSeconds" . | int) 5 -}}
{{- end -}}

{{- /* The ports of a list of host:port, once each, as JSON: {ports: […]}. */ -}}
{{- define "rookery.portsOf" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (regexFind "[0-9]+$" . | int) -}}
{{- end -}}
{{- dict "ports" ($ports | uniq) | toJson -}}
{{- end -}}
