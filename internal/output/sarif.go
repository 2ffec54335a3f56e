package output

import (
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Finding is something that a check found in a file.
type Finding struct {
	Code    string // of one of the Rules
	Warning bool   // else it is an error
	Message string // one line, with what to do
	// File is a path, relative to where code review tools see the tree, or
	// absolute, or empty for what is in no file; Line and Column count from 1, 0
	// is not known.
	File         string
	Line, Column int
	// Resource and Field are what the finding is about, for tools that follow
	// a finding from one commit to the next, where lines change.
	Resource, Field string
}

// Rule is a kind of finding.
type Rule struct {
	Code string
	// Short says what is found, a few words; Help what to know about it.
	Short, Help string
	Warning     bool
}

// Tool is the program that checks.
type Tool struct {
	Name, Version, URI string
	// Rules has one for every Code of a finding, and may have more.
	Rules []Rule
	// Notes are what to know of the check itself, in no file: what it could not
	// look at.
	Notes []string
}

// The parts of SARIF 2.1.0 that tools read, GitHub's code scanning included.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Invocations []sarifInvocation `json:"invocations,omitempty"`
		ColumnKind  string            `json:"columnKind"`
		Results     []sarifResult     `json:"results"`
	}
	sarifInvocation struct {
		Successful bool        `json:"executionSuccessful"`
		Notes      []sarifNote `json:"toolExecutionNotifications"`
	}
	sarifNote struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		URI     string      `json:"informationUri,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID      string        `json:"id"`
		Short   sarifText     `json:"shortDescription"`
		Full    sarifText     `json:"fullDescription"`
		Help    sarifText     `json:"help"`
		Default sarifLevel    `json:"defaultConfiguration"`
		Props   sarifRuleTags `json:"properties"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifRuleTags struct {
		Tags      []string `json:"tags"`
		Precision string   `json:"precision"`
		Severity  string   `json:"problem.severity"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations,omitempty"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI  string `json:"uri"`
		Base string `json:"uriBaseId,omitempty"`
	}
	sarifRegion struct {
		Line   int `json:"startLine"`
		Column int `json:"startColumn,omitempty"`
	}
	sarifLogical struct {
		Name string `json:"fullyQualifiedName"`
		Kind string `json:"kind"`
	}
)

// SARIF writes findings in the Static Analysis Results Interchange Format,
// version 2.1.0.
func (p *Printer) SARIF(tool Tool, findings []Finding) error {
	run := sarifRun{
		Tool:       sarifTool{sarifDriver{Name: tool.Name, Version: tool.Version, URI: tool.URI, Rules: []sarifRule{}}},
		ColumnKind: "unicodeCodePoints",
		Results:    make([]sarifResult, 0, len(findings)),
	}
	if len(tool.Notes) > 0 {
		call := sarifInvocation{Successful: true}
		for _, note := range tool.Notes {
			call.Notes = append(call.Notes, sarifNote{levelOf(true), sarifText{note}})
		}
		run.Invocations = []sarifInvocation{call}
	}
	index := map[string]int{}
	for i, r := range tool.Rules {
		index[r.Code] = i
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, newSARIFRule(r))
	}
	seen := map[string]int{}
	for i := range findings {
		run.Results = append(run.Results, newSARIFResult(&findings[i], index, seen))
	}
	return p.Object(JSON, sarifLog{"https://json.schemastore.org/sarif-2.1.0.json", "2.1.0", []sarifRun{run}})
}

func levelOf(warning bool) string {
	if warning {
		return "warning"
	}
	return "error"
}

func newSARIFRule(r Rule) sarifRule {
	level := levelOf(r.Warning)
	help := r.Help
	if help == "" {
		help = r.Short
	}
	precision := "very-high"
	if r.Warning {
		precision = "high"
	}
	return sarifRule{ID: r.Code, Short: sarifText{r.Short}, Full: sarifText{help}, Help: sarifText{help},
		Default: sarifLevel{level}, Props: sarifRuleTags{[]string{"network-policy"}, precision, level}}
}

func newSARIFResult(f *Finding, index map[string]int, seen map[string]int) sarifResult {
	r := sarifResult{RuleID: f.Code, RuleIndex: -1, Level: levelOf(f.Warning), Message: sarifText{f.Message}}
	if i, ok := index[f.Code]; ok {
		r.RuleIndex = i
	}
	var at sarifLocation
	if f.File != "" || f.Resource == "" { // else the resource alone says where
		at.Physical = &sarifPhysical{sarifURI(f.File), sarifRegion{max(f.Line, 1), f.Column}}
	}
	if f.Resource != "" {
		at.Logical = []sarifLogical{{strings.TrimSpace(f.Resource + " " + f.Field), "resource"}}
	}
	r.Locations = []sarifLocation{at}
	// Lines are left out, so that a finding stays the same when text is added
	// above it; those that are alike are numbered.
	id := strings.Join([]string{f.Code, f.File, f.Resource, f.Field}, "\x00")
	seen[id]++
	sum := sha256.Sum256([]byte(id + "\x00" + strconv.Itoa(seen[id])))
	r.Fingerprints = map[string]string{"netpolFinding/v1": hex.EncodeToString(sum[:16])}
	return r
}

// sarifURI is a path as a URI: relative to the root of the sources, or, for an
// absolute path, a file URI.
func sarifURI(path string) sarifArtifact {
	slashed := filepath.ToSlash(path)
	if filepath.IsAbs(path) {
		return sarifArtifact{URI: "file://" + escapePath(slashed)}
	}
	parts := slices.DeleteFunc(strings.Split(slashed, "/"), func(s string) bool { return s == "." || s == "" })
	return sarifArtifact{URI: escapePath(strings.Join(parts, "/")), Base: "%SRCROOT%"}
}

// escapePath escapes what may not stand in a URI's path.
func escapePath(path string) string {
	const fine = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/!$&'()*+,;=@"
	var b strings.Builder
	for _, c := range []byte(path) {
		if strings.IndexByte(fine, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(hex.EncodeToString([]byte{c})))
		}
	}
	return b.String()
}
