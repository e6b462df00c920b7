package telemetry

// Sweep lets tests say when things are old.
var Sweep = (*Store).sweep
