//go:build pin

// Package pin keeps in go.mod what no code here imports.
package pin

import _ "github.com/summerwind/h2spec/cmd/h2spec"
