// Command client calls the service as programs in Go do: client KIND HTTP-URL GRPC-ADDRESS PROJECT
//
// It prints as JSON what the service answered.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log"
	"net/url"
	"os"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/proto"

	tallymarkv1 "tallymark.dev/go/tallymark/v1"
)

// actor is sent with every call: percent-encoded UTF-8, in which a space is %20.
var actor = url.PathEscape("Zoë Ørsted")

// errEnough ends a stream of which enough was read.
var errEnough = errors.New("enough")

// registry is what the two libraries have in common.
type registry interface {
	createModel(context.Context, *tallymarkv1.CreateModelRequest) error
	createVersion(context.Context, *tallymarkv1.CreateModelVersionRequest) (*tallymarkv1.ModelVersion, error)
	setStage(context.Context, *tallymarkv1.SetStageRequest) error
	getVersion(context.Context, *tallymarkv1.GetModelVersionRequest) (*tallymarkv1.ModelVersion, error)
	watch(context.Context, *tallymarkv1.WatchRequest, func(*tallymarkv1.WatchResponse) error) error
	export(context.Context, *tallymarkv1.ExportRequest, func(*tallymarkv1.ExportResponse) error) error
	// failure gives the code of an error, and the reason that it carries.
	failure(error) (int, *errdetails.ErrorInfo)
}

type told map[string]any

func must[T any](value T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return value
}

func check(err error) {
	must(0, err)
}

func main() {
	kind, base, address, parent := os.Args[1], strings.TrimSuffix(os.Args[2], "/"), os.Args[3], os.Args[4]
	var service registry
	if kind == "grpc-go" {
		service = dial(address)
	} else {
		service = connected(kind, base, address)
	}
	check(json.NewEncoder(os.Stdout).Encode(scenario(service, parent)))
}

func scenario(service registry, parent string) told {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	model := parent + "/models/churn"
	card := &tallymarkv1.Model{Description: strings.Repeat("x", 20_000)}
	check(service.createModel(ctx, &tallymarkv1.CreateModelRequest{Parent: parent, ModelId: "churn", Model: card}))
	first := must(service.createVersion(ctx, &tallymarkv1.CreateModelVersionRequest{Parent: model}))
	must(service.createVersion(ctx, &tallymarkv1.CreateModelVersionRequest{Parent: model}))
	stage := tallymarkv1.Stage_STAGE_PRODUCTION
	check(service.setStage(ctx, &tallymarkv1.SetStageRequest{Name: model + "/versions/2", Stage: stage}))
	production := must(service.getVersion(ctx, &tallymarkv1.GetModelVersionRequest{Name: model + "/versions/@production"}))

	before, logID := watched(ctx, service, &tallymarkv1.WatchRequest{Parent: parent, AfterRevision: proto.Int64(0)}, 3)
	after, _ := watched(ctx, service, &tallymarkv1.WatchRequest{
		Parent: parent, AfterRevision: proto.Int64(before[len(before)-1]), LogId: logID,
	}, 1)

	_, err := service.getVersion(ctx, &tallymarkv1.GetModelVersionRequest{Name: model + "/versions/9"})
	code, info := service.failure(err)
	short, done := context.WithTimeout(ctx, time.Second)
	defer done()
	late, _ := service.failure(service.watch(short, &tallymarkv1.WatchRequest{Parent: parent},
		func(*tallymarkv1.WatchResponse) error { return nil }))

	digest := sha256.New()
	check(service.export(ctx, &tallymarkv1.ExportRequest{Parent: parent}, func(message *tallymarkv1.ExportResponse) error {
		digest.Write(message.GetLines())
		return nil
	}))
	return told{
		"first":      told{"number": first.GetNumber(), "creator": first.GetCreator()},
		"production": production.GetNumber(),
		"watched":    before,
		"resumed":    after,
		"refused": told{
			"code": code, "reason": info.GetReason(), "domain": info.GetDomain(), "metadata": info.GetMetadata(),
		},
		"late":     late,
		"exported": hex.EncodeToString(digest.Sum(nil)),
	}
}

// watched gives the revisions of the first events of a watch, and the log to which they belong.
func watched(ctx context.Context, service registry, request *tallymarkv1.WatchRequest, count int) ([]int64, string) {
	var revisions []int64
	var logID string
	err := service.watch(ctx, request, func(message *tallymarkv1.WatchResponse) error {
		logID = message.GetLogId()
		// The first message may have no events.
		for _, event := range message.GetEvents() {
			revisions = append(revisions, event.GetRevision())
		}
		if len(revisions) >= count {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		log.Fatal(err)
	}
	return revisions[:count], logID
}
