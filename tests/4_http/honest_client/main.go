// Go's client of HTTP/2, as programs use it: `honest_client URL SCENE`. What fails is printed, and
// the exit code is 1 then.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	atOnce = 80
	piece  = 20
	pieces = 2000
)

var (
	base   string
	client *http.Client
	mutex  sync.Mutex
	failed = map[string]int{}
)

func fail(what any) {
	mutex.Lock()
	failed[fmt.Sprint(what)]++
	mutex.Unlock()
}

// each calls f for 0 to n-1, some at a time.
func each(n, atOnce int, f func(i int)) {
	var all sync.WaitGroup
	turn := make(chan int)
	for range atOnce {
		all.Add(1)
		go func() {
			defer all.Done()
			for i := range turn {
				f(i)
			}
		}()
	}
	for i := range n {
		turn <- i
	}
	close(turn)
	all.Wait()
}

// get waits before it reads, and reads so many bytes at a time; the answer must have `want` bytes.
func get(path string, wait time.Duration, step, want int) {
	r, err := client.Get(base + path)
	if err != nil {
		fail(err)
		return
	}
	defer r.Body.Close()
	time.Sleep(wait)
	n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r.Body}, make([]byte, step))
	if err != nil || r.ProtoMajor != 2 || r.StatusCode != 200 || int(n) != want {
		fail(fmt.Sprint(path, " ", r.Proto, " ", r.Status, " ", n, " ", err))
	}
}

// giveUp waits for an answer that does not come.
func giveUp(after time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), after)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", base+"/held", nil)
	if _, err := client.Do(r); !errors.Is(err, context.DeadlineExceeded) {
		fail(err)
	}
}

func seek(int) {
	r, err := client.Get(base + "/endless")
	if err != nil {
		fail(err)
		return
	}
	defer r.Body.Close()
	if _, err = io.CopyN(io.Discard, r.Body, 200_000); err != nil {
		fail(err)
	}
}

// post expects this status and, unless it is empty, this text.
func post(path string, body io.Reader, status int, text string) {
	r, err := client.Post(base+path, "application/octet-stream", body)
	if err != nil {
		fail(err)
		return
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || text != "" && string(got) != text {
		fail(fmt.Sprint(path, " ", r.Status, " ", string(got), " ", err))
	}
}

// trickle is a body of small pieces, with an empty frame at its end.
type trickle struct{ left int }

func (t *trickle) Read(p []byte) (int, error) {
	if t.left == 0 {
		return 0, io.EOF
	}
	t.left--
	return copy(p, bytes.Repeat([]byte("x"), piece)), nil
}

var scenes = map[string]func(){
	"small":    func() { each(10000, atOnce, func(int) { get("/plain", 0, 4096, 5) }) },
	"timeouts": func() { each(3000, atOnce, func(i int) { giveUp(time.Duration(100+i%20) * time.Millisecond) }) },
	"races": func() {
		each(8000, atOnce, func(i int) {
			if i%2 == 0 {
				giveUp(2 * time.Millisecond)
			} else {
				get("/plain", 0, 4096, 5)
			}
		})
	},
	"seeks": func() { each(800, 10, seek) },
	"pages": func() {
		for range 15 {
			each(atOnce, atOnce, func(int) { giveUp(100 * time.Millisecond) })
		}
	},
	"early": func() {
		each(3000, 20, func(int) { post("/plain", bytes.NewReader(make([]byte, 100_000)), 405, "") })
	},
	"pieces": func() {
		each(60, 20, func(int) { post("/sink", &trickle{pieces}, 200, fmt.Sprint(piece*pieces)) })
	},
	"chunks": func() { each(10, 5, func(int) { get("/chunks", 0, 64, 5_000_000) }) },
	"late":   func() { each(atOnce, atOnce, func(int) { get("/big", time.Second, 1000, 1<<20) }) },
}

func main() {
	base = os.Args[1]
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	client = &http.Client{Transport: &http.Transport{
		Protocols:          protocols,
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, // a certificate of the tests'
		DisableCompression: true,
	}}
	scenes[os.Args[2]]()
	get("/plain", 0, 4096, 5)
	for what, times := range failed {
		fmt.Println(times, "times:", what)
	}
	if len(failed) > 0 {
		os.Exit(1)
	}
}
