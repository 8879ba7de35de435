#!/bin/sh
# curl: every answer stands in the one line as it came, so the judge reads it like any other.
base=$1/v1 folder=$2

post() {  # path, then curl's words for the body
    path=$1
    shift
    curl -sS "$base/images/$path" "$@"
}

json() {
    post "$1" -H 'Content-Type: application/json' -d "$2"
}

small='"prompt": "a red apple", "size": "256x256"'
gpt='"prompt": "a red apple", "model": "gpt-image-1", "quality": "low", "output_format": "webp"'

drawn='"prompt": "a red apple", "model": "gpt-image-2.6-flare", "size": "512x512"'

answer() {  # name, body
    printf '"%s": {"answer": %s}' "$1" "$2"
}

printf '{"version": "%s", "seen": {' "$(curl --version | sed -n '1s/^curl \([^ ]*\).*/\1/p')"
answer generate "$(json generations "{$small, \"n\": 2}")"
printf ', '
answer bytes "$(json generations "{$small, \"response_format\": \"b64_json\"}")"
printf ', '
answer gpt "$(json generations "{$gpt}")"
printf ', '
answer svg "$(json generations "{$drawn, \"output_format\": \"svg\", \"complexity\": \"low\"}")"
printf ', '
answer gif "$(json generations "{$drawn, \"output_format\": \"gif\", \"frame_count\": 3}")"
printf ', "stream": {"answers": [%s]}, ' "$(
    json generations "{$gpt, \"stream\": true, \"partial_images\": 2}" |
        sed -n 's/^data: //p' | paste -sd, -
)"
answer models "$(curl -sS "$base/models")"
printf ', '
answer wrong-n "$(json generations "{$small, \"n\": 11}")"
printf ', '
answer edit "$(post edits -F image=@"$folder/image.png" -F prompt='a hat' -F size=256x256)"
printf ', '
answer edit-mask "$(
    post edits -F image=@"$folder/image.png" -F mask=@"$folder/mask.png" \
        -F prompt='a hat' -F size=256x256
)"
printf ', '
answer edit-markup "$(
    post edits -F image=@"$folder/image.png" -F markup=@"$folder/mask.png" \
        -F prompt='a hat' -F size=1024x1024
)"
printf ', '
answer variation "$(post variations -F image=@"$folder/image.png" -F n=2 -F size=256x256)"
printf '}}\n'
