#!/bin/sh
# An external extension in a shell script, as the guide's "Using the Lambda Extensions API" has it step by step: register
# by the file's name, ask for events with the identifier, end at SHUTDOWN.
api="http://${AWS_LAMBDA_RUNTIME_API}/2020-01-01/extension"
name=$(basename "$0")
headers=$(mktemp)
curl -sS -D "$headers" -o /dev/null -X POST "$api/register" \
  -H "Lambda-Extension-Name: $name" -d '{"events": ["INVOKE", "SHUTDOWN"]}'
id=$(grep -i '^lambda-extension-identifier:' "$headers" | cut -d ' ' -f 2 | tr -d '\r')
while true; do
  event=$(curl -sS "$api/event/next" -H "Lambda-Extension-Identifier: $id")
  echo "$name $event"
  case $event in *SHUTDOWN*) exit 0 ;; esac
done
