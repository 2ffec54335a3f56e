package lab

// Client talks to a running lab.
type Client struct{}
