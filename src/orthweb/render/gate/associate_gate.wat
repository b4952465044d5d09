;; The gate before a DICOM server: nobody reaches it with less than a whole, well-formed
;; A-ASSOCIATE-RQ, and nobody stays whom it refuses or doesn't answer. A proxy-wasm (ABI 0.2.1)
;; network filter for Envoy; it stands before tcp_proxy.
;;
;; Why: DCMTK's server, thus Orthanc's, accepts nobody else while it waits for the rest of a request,
;; or for a client that it refused, or whose request it could not parse, to hang up (30 s and more).
;;
;; A client is in one of four states:
;;   0 asking    its A-ASSOCIATE-RQ isn't whole; the host keeps its bytes, tcp_proxy knows nothing yet
;;   1 asked     the request went on; the server's answer isn't there
;;   2 refused   the answer was not an A-ASSOCIATE-AC; closed at the next tick, when it has got it
;;   - let in    it isn't in the table, and every further byte passes unseen
;; Asking and asked may each last for the deadline; asking starts at the TCP accept, TLS included.
;;
;; PS3.8 9.3.2: byte 0 PDU type 01H, byte 1 reserved (not to be tested), bytes 2-5 the length of the
;; rest, big-endian: 68 bytes of fixed fields, then items {type, reserved, 2-byte length, content}.
;; A presentation context (20H; one at least) has 4 bytes and then items, among them 1 to 50 transfer
;; syntaxes (40H; DCMTK takes no more); user information (50H) is items. Versions, titles and the
;; names of syntaxes are the server's to judge: it answers those, and its answer reaches the client.
;; What is checked is what DCMTK 3.6.7 was seen to leave without an answer.
;;
;; One title is looked at: Orthanc answers queries to ORTHWEB, so only the device with the certificate CN=orthweb may
;; call by it. Orthanc compares titles without regard to case and to spaces around them, so this does too.
;;
;; Limits: a request of 68 to 262144 bytes (128 presentation contexts of 50 transfer syntaxes are
;; 170 KB, user information has 64 KiB at most); 4096 clients asking or asked an Envoy worker: one
;; more closes the one that came 4096 earlier.
;;
;; Memory (7 pages, fixed): $POINTER, $SIZE and $CLOCK are where the host answers; from 64 on words for
;; people; $TABLE has a slot (id mod 4096) = {context id or 0, expiry in ms, state, unused}, 4 bytes
;; each; $COPY is what the host copies in: a configuration, a peek at a stream or one whole request.
(module
  (import "env" "proxy_get_buffer_bytes"
    (func $get_buffer_bytes (param $buffer i32) (param $start i32) (param $size i32)
      (param $pointer_at i32) (param $size_at i32) (result i32)))
  (import "env" "proxy_set_effective_context" (func $set_effective_context (param i32) (result i32)))
  (import "env" "proxy_set_property"
    (func $set_property (param $path i32) (param $path_size i32)
      (param $value i32) (param $value_size i32) (result i32)))
  (import "env" "proxy_get_property"
    (func $get_property (param $path i32) (param $path_size i32)
      (param $pointer_at i32) (param $size_at i32) (result i32)))
  (import "env" "proxy_close_stream" (func $close_stream (param i32) (result i32)))
  (import "env" "proxy_set_tick_period_milliseconds" (func $set_tick_period (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "clock_time_get"
    (func $clock_time_get (param $clock i32) (param $precision i64) (param $time_at i32) (result i32)))

  (memory (export "memory") 7 7)
  (global $POINTER i32 (i32.const 0))
  (global $SIZE i32 (i32.const 4))
  (global $CLOCK i32 (i32.const 8))
  (global $TABLE i32 (i32.const 65536))
  (global $COPY i32 (i32.const 131072))           ;; also the table's end

  ;; What the access log shows as %FILTER_STATE(wasm.associate_gate:PLAIN)%; zero-terminated.
  (data (i32.const 64) "associate_gate")
  (global $NO_REQUEST i32 (i32.const 128)) (data (i32.const 128) "not an A-ASSOCIATE-RQ")
  (global $MALFORMED i32 (i32.const 160))  (data (i32.const 160) "malformed A-ASSOCIATE-RQ")
  (global $ENDED i32 (i32.const 192))      (data (i32.const 192) "ended before its A-ASSOCIATE-RQ")
  (global $PUSHED_OUT i32 (i32.const 224)) (data (i32.const 224) "pushed out by newer clients")
  ;; Why a deadline closed it: 32 bytes a state.
  (global $OVERDUE i32 (i32.const 256))    (data (i32.const 256) "too slow with its A-ASSOCIATE-RQ")
                                           (data (i32.const 288) "A-ASSOCIATE-RQ never answered")
                                           (data (i32.const 320) "association refused by server")
  (global $NOT_OWN i32 (i32.const 352))    (data (i32.const 352) "calling AE title is another's")
  (global $OWN i32 (i32.const 384))        (data (i32.const 384) "orthweb")
  (global $SUBJECT i32 (i32.const 400))    (data (i32.const 400) "connection\00subject_peer_certificate")
  (global $OWN_SUBJECT i32 (i32.const 448)) (data (i32.const 448) "CN=orthweb")

  (global $ASKING i32 (i32.const 0))
  (global $ASKED i32 (i32.const 1))
  (global $REFUSED i32 (i32.const 2))
  ;; What a callback for bytes returns.
  (global $CONTINUE i32 (i32.const 0))
  (global $STOP i32 (i32.const 1))

  (global $deadline_ms (mut i32) (i32.const 0))
  (global $last_expiry (mut i32) (i32.const 0))

  (func (export "proxy_abi_version_0_2_1"))

  ;; The host asks for room for what it copies in; 0 fails its call.
  (func (export "proxy_on_memory_allocate") (param $size i32) (result i32)
    (select (global.get $COPY) (i32.const 0) (i32.le_u (local.get $size) (i32.const 262150))))

  ;; Copies the first bytes of a buffer to $COPY; 0 when that worked.
  (func $peek (param $buffer i32) (param $size i32) (result i32)
    (call $get_buffer_bytes (local.get $buffer) (i32.const 0) (local.get $size)
      (global.get $POINTER) (global.get $SIZE)))

  (func $be16 (param $at i32) (result i32)
    (i32.or (i32.shl (i32.load8_u (local.get $at)) (i32.const 8)) (i32.load8_u offset=1 (local.get $at))))

  (func $slot (param $id i32) (result i32)
    (i32.add (global.get $TABLE) (i32.shl (i32.and (local.get $id) (i32.const 4095)) (i32.const 4))))

  ;; Monotonic milliseconds, modulo 2^32: compare differences only.
  (func $now_ms (result i32)
    (drop (call $clock_time_get (i32.const 1) (i64.const 0) (global.get $CLOCK)))
    (i32.wrap_i64 (i64.div_u (i64.load (global.get $CLOCK)) (i64.const 1000000))))

  ;; Gives a client a state and the deadline anew.
  (func $enter (param $slot i32) (param $id i32) (param $state i32)
    (global.set $last_expiry (i32.add (call $now_ms) (global.get $deadline_ms)))
    (i32.store (local.get $slot) (local.get $id))
    (i32.store offset=4 (local.get $slot) (global.get $last_expiry))
    (i32.store offset=8 (local.get $slot) (local.get $state)))

  (func $length_of_words (param $at i32) (result i32)
    (local $end i32)
    (local.set $end (local.get $at))
    (loop $next
      (if (i32.load8_u (local.get $end)) (then
        (local.set $end (i32.add (local.get $end) (i32.const 1)))
        (br $next))))
    (i32.sub (local.get $end) (local.get $at)))

  ;; Closes the effective context's client once its callback has returned. Its slot stays, so that it
  ;; can't slip through. Returns $STOP.
  (func $close (param $why i32) (result i32)
    (drop (call $set_property (i32.const 64) (i32.const 14) (local.get $why)
      (call $length_of_words (local.get $why))))
    (drop (call $close_stream (i32.const 2)))          ;; 2: downstream
    (global.get $STOP))

  ;; The same from another context's callback; a client that the host no longer knows frees its slot,
  ;; and that is all that happens when a client leaves by itself.
  (func $close_slot (param $slot i32) (param $why i32)
    (if (call $set_effective_context (i32.load (local.get $slot)))
      (then (i32.store (local.get $slot) (i32.const 0)))
      (else (drop (call $close (local.get $why))))))

  ;; Does an item's content fit its type? What DCMTK fails to parse it doesn't answer; these are its
  ;; rules and PS3.7 D.3.3's. An unknown type may hold anything.
  (func $fits (param $type i32) (param $at i32) (param $size i32) (result i32)
    (local $first i32) (local $second i32)
    ;; UIDs (application context, abstract, transfer syntax, implementation class) and version name.
    (if (i32.or
          (i32.or (i32.eq (local.get $type) (i32.const 0x10)) (i32.eq (local.get $type) (i32.const 0x30)))
          (i32.or (i32.eq (local.get $type) (i32.const 0x40))
            (i32.or (i32.eq (local.get $type) (i32.const 0x52)) (i32.eq (local.get $type) (i32.const 0x55)))))
      (then (return (i32.le_u (local.get $size) (i32.const 64)))))
    ;; Maximum length: one number.
    (if (i32.eq (local.get $type) (i32.const 0x51))
      (then (return (i32.ge_u (local.get $size) (i32.const 4)))))
    ;; Role selection: UID length, UID, two bytes. Extended negotiation: UID length, UID, the rest.
    (if (i32.or (i32.eq (local.get $type) (i32.const 0x54)) (i32.eq (local.get $type) (i32.const 0x56))) (then
      (return (i32.le_u
        (i32.add (call $be16 (local.get $at))
          (select (i32.const 4) (i32.const 2) (i32.eq (local.get $type) (i32.const 0x54))))
        (local.get $size)))))
    ;; User identity: type, flag, length, field, length, second field (empty but for type 2, passcode).
    (if (i32.eq (local.get $type) (i32.const 0x58)) (then
      (local.set $first (i32.add (call $be16 (i32.add (local.get $at) (i32.const 2))) (i32.const 6)))
      (if (i32.gt_u (local.get $first) (local.get $size)) (then (return (i32.const 0))))
      (local.set $second (call $be16 (i32.add (local.get $at) (i32.sub (local.get $first) (i32.const 2)))))
      (return (i32.and
        (i32.eq (i32.add (local.get $first) (local.get $second)) (local.get $size))
        (i32.or (i32.eqz (local.get $second)) (i32.eq (i32.load8_u (local.get $at)) (i32.const 2)))))))
    ;; The answer's forms of a presentation context and of the user identity are none of a request's.
    (i32.and (i32.ne (local.get $type) (i32.const 0x21)) (i32.ne (local.get $type) (i32.const 0x59))))

  ;; Are these bytes exactly a row of whole items? -1 no; else how many of them have the type $counted.
  ;; Only the top row, which counts 20H, descends, so the depth is bounded.
  (func $items (param $at i32) (param $end i32) (param $counted i32) (result i32)
    (local $type i32) (local $size i32) (local $next i32) (local $count i32)
    (block $bad
      (loop $more
        (if (i32.eq (local.get $at) (local.get $end)) (then (return (local.get $count))))
        (local.set $type (i32.load8_u (local.get $at)))
        (local.set $size (call $be16 (i32.add (local.get $at) (i32.const 2))))
        (local.set $at (i32.add (local.get $at) (i32.const 4)))
        (local.set $next (i32.add (local.get $at) (local.get $size)))
        (br_if $bad (i32.gt_u (local.get $next) (local.get $end)))
        (br_if $bad (i32.eqz (call $fits (local.get $type) (local.get $at) (local.get $size))))
        (if (i32.eq (local.get $counted) (i32.const 0x20)) (then
          (if (i32.eq (local.get $type) (i32.const 0x20)) (then
            (br_if $bad (i32.lt_u (local.get $size) (i32.const 4)))
            (br_if $bad (i32.gt_u
              (i32.sub
                (call $items (i32.add (local.get $at) (i32.const 4)) (local.get $next) (i32.const 0x40))
                (i32.const 1))
              (i32.const 49)))))
          (if (i32.eq (local.get $type) (i32.const 0x50)) (then
            (br_if $bad (i32.lt_s
              (call $items (local.get $at) (local.get $next) (i32.const 0))
              (i32.const 0)))))))
        (local.set $count (i32.add (local.get $count) (i32.eq (local.get $type) (local.get $counted))))
        (local.set $at (local.get $next))
        (br $more)))
    (i32.const -1))

  ;; Is the AE title of 16 bytes here Orthweb's own?
  (func $is_own (param $at i32) (result i32)
    (local $end i32) (local $byte i32) (local $found i32)
    (local.set $end (i32.add (local.get $at) (i32.const 16)))
    (loop $next
      (local.set $byte (i32.load8_u (local.get $at)))
      (if (i32.gt_u (local.get $byte) (i32.const 0x20)) (then
        ;; The byte after the title's last is zero: no letter equals it.
        (if (i32.ne (i32.or (local.get $byte) (i32.const 0x20))
              (i32.load8_u (i32.add (global.get $OWN) (local.get $found))))
          (then (return (i32.const 0))))
        (local.set $found (i32.add (local.get $found) (i32.const 1)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $end))))
    (i32.eq (local.get $found) (i32.const 7)))

  ;; Did the client show Orthweb's own certificate? Overwrites $COPY.
  (func $shows_own (result i32)
    (local $at i32)
    (if (call $get_property (global.get $SUBJECT) (i32.const 35) (global.get $POINTER) (global.get $SIZE))
      (then (return (i32.const 0))))
    (if (i32.ne (i32.load (global.get $SIZE)) (i32.const 10)) (then (return (i32.const 0))))
    (loop $next
      (if (i32.ne
            (i32.load8_u (i32.add (global.get $COPY) (local.get $at)))
            (i32.load8_u (i32.add (global.get $OWN_SUBJECT) (local.get $at))))
        (then (return (i32.const 0))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 10))))
    (i32.const 1))

  ;; The plugin's configuration is the deadline, decimal milliseconds, 100 to 600000.
  (func (export "proxy_on_configure") (param $root i32) (param $size i32) (result i32)
    (local $at i32) (local $digit i32) (local $value i32)
    (if (i32.gt_u (i32.sub (local.get $size) (i32.const 1)) (i32.const 5)) (then (return (i32.const 0))))
    (if (call $peek (i32.const 7) (local.get $size)) (then (return (i32.const 0))))
    (loop $next
      (local.set $digit (i32.sub (i32.load8_u (i32.add (global.get $COPY) (local.get $at))) (i32.const 48)))
      (if (i32.gt_u (local.get $digit) (i32.const 9)) (then (return (i32.const 0))))
      (local.set $value (i32.add (i32.mul (local.get $value) (i32.const 10)) (local.get $digit)))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (br_if $next (i32.lt_u (local.get $at) (local.get $size))))
    (if (i32.gt_u (i32.sub (local.get $value) (i32.const 100)) (i32.const 599900))
      (then (return (i32.const 0))))
    (global.set $deadline_ms (local.get $value))
    (i32.eqz (call $set_tick_period (i32.const 100))))

  (func (export "proxy_on_new_connection") (param $id i32) (result i32)
    (local $slot i32)
    (local.set $slot (call $slot (local.get $id)))
    (if (i32.load (local.get $slot)) (then (call $close_slot (local.get $slot) (global.get $PUSHED_OUT))))
    (call $enter (local.get $slot) (local.get $id) (global.get $ASKING))
    (global.get $STOP))

  ;; While this returns StopIteration the host keeps the bytes: $size is all that has come so far.
  (func (export "proxy_on_downstream_data") (param $id i32) (param $size i32) (param $end i32) (result i32)
    (local $slot i32) (local $length i32)
    (local.set $slot (call $slot (local.get $id)))
    (if (i32.ne (i32.load (local.get $slot)) (local.get $id)) (then (return (global.get $CONTINUE))))
    (if (i32.ne (i32.load offset=8 (local.get $slot)) (global.get $ASKING))
      (then (return (global.get $CONTINUE))))
    (if (local.get $size) (then
      (if (call $peek (i32.const 2) (i32.const 6)) (then (return (call $close (global.get $NO_REQUEST)))))
      (if (i32.ne (i32.load8_u (global.get $COPY)) (i32.const 1))
        (then (return (call $close (global.get $NO_REQUEST)))))
      (if (i32.ge_u (local.get $size) (i32.const 6)) (then
        (local.set $length (i32.or
          (i32.shl (call $be16 (i32.add (global.get $COPY) (i32.const 2))) (i32.const 16))
          (call $be16 (i32.add (global.get $COPY) (i32.const 4)))))
        (if (i32.gt_u (i32.sub (local.get $length) (i32.const 68)) (i32.const 262076))
          (then (return (call $close (global.get $MALFORMED)))))
        (local.set $length (i32.add (local.get $length) (i32.const 6)))
        (if (i32.ge_u (local.get $size) (local.get $length)) (then
          (if (call $peek (i32.const 2) (local.get $length))
            (then (return (call $close (global.get $MALFORMED)))))
          (if (i32.lt_s
                (call $items (i32.add (global.get $COPY) (i32.const 74))
                  (i32.add (global.get $COPY) (local.get $length)) (i32.const 0x20))
                (i32.const 1))
            (then (return (call $close (global.get $MALFORMED)))))
          (if (call $is_own (i32.add (global.get $COPY) (i32.const 26)))
            (then (if (i32.eqz (call $shows_own))
              (then (return (call $close (global.get $NOT_OWN)))))))
          (call $enter (local.get $slot) (local.get $id) (global.get $ASKED))
          (return (global.get $CONTINUE))))))))
    (if (local.get $end) (then (return (call $close (global.get $ENDED)))))
    (global.get $STOP))

  ;; The server's first byte is its answer: A-ASSOCIATE-AC (02H), or the client has to go. Closing it
  ;; here would lose the answer, which is yet to be written.
  (func (export "proxy_on_upstream_data") (param $id i32) (param $size i32) (param $end i32) (result i32)
    (local $slot i32)
    (local.set $slot (call $slot (local.get $id)))
    (if (i32.ne (i32.load (local.get $slot)) (local.get $id)) (then (return (global.get $CONTINUE))))
    (if (i32.ne (i32.load offset=8 (local.get $slot)) (global.get $ASKED))
      (then (return (global.get $CONTINUE))))
    (if (local.get $size) (then
      (if (call $peek (i32.const 3) (i32.const 1)) (then (return (global.get $CONTINUE))))
      (if (i32.eq (i32.load8_u (global.get $COPY)) (i32.const 2))
        (then (i32.store (local.get $slot) (i32.const 0)))
        (else
          (i32.store offset=4 (local.get $slot) (call $now_ms))
          (i32.store offset=8 (local.get $slot) (global.get $REFUSED))))))
    (global.get $CONTINUE))

  (func (export "proxy_on_tick") (param $root i32)
    (local $slot i32) (local $now i32)
    (local.set $now (call $now_ms))
    ;; Nobody came for so long that all have left.
    (if (i32.gt_s (i32.sub (local.get $now) (global.get $last_expiry)) (i32.const 1000)) (then (return)))
    (local.set $slot (global.get $TABLE))
    (loop $next
      (if (i32.load (local.get $slot)) (then
        (if (i32.ge_s (i32.sub (local.get $now) (i32.load offset=4 (local.get $slot))) (i32.const 0))
          (then (call $close_slot (local.get $slot)
            (i32.add (global.get $OVERDUE) (i32.shl (i32.load offset=8 (local.get $slot)) (i32.const 5))))))))
      (local.set $slot (i32.add (local.get $slot) (i32.const 16)))
      (br_if $next (i32.lt_u (local.get $slot) (global.get $COPY))))))
