package main

import (
	"context"
	"errors"
	"io"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	tallymarkv1 "tallymark.dev/go/tallymark/v1"
)

// byGRPC calls by grpc-go.
type byGRPC struct {
	models tallymarkv1.ModelRegistryClient
	log    tallymarkv1.EventLogClient
}

func dial(address string) registry {
	connection := must(grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials())))
	return byGRPC{tallymarkv1.NewModelRegistryClient(connection), tallymarkv1.NewEventLogClient(connection)}
}

func named(ctx context.Context) context.Context {
	return metadata.AppendToOutgoingContext(ctx, "tallymark-actor", actor)
}

func (c byGRPC) createModel(ctx context.Context, message *tallymarkv1.CreateModelRequest) error {
	_, err := c.models.CreateModel(named(ctx), message)
	return err
}

func (c byGRPC) createVersion(
	ctx context.Context, message *tallymarkv1.CreateModelVersionRequest,
) (*tallymarkv1.ModelVersion, error) {
	return c.models.CreateModelVersion(named(ctx), message)
}

func (c byGRPC) setStage(ctx context.Context, message *tallymarkv1.SetStageRequest) error {
	_, err := c.models.SetStage(named(ctx), message)
	return err
}

func (c byGRPC) getVersion(
	ctx context.Context, message *tallymarkv1.GetModelVersionRequest,
) (*tallymarkv1.ModelVersion, error) {
	return c.models.GetModelVersion(named(ctx), message)
}

func (c byGRPC) watch(
	ctx context.Context, message *tallymarkv1.WatchRequest, take func(*tallymarkv1.WatchResponse) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.log.Watch(named(ctx), message)
	return received(stream, err, take)
}

func (c byGRPC) export(
	ctx context.Context, message *tallymarkv1.ExportRequest, take func(*tallymarkv1.ExportResponse) error,
) error {
	stream, err := c.log.Export(named(ctx), message)
	return received(stream, err, take)
}

func received[T any](stream grpc.ServerStreamingClient[T], err error, take func(*T) error) error {
	for err == nil {
		var message *T
		if message, err = stream.Recv(); err == nil {
			err = take(message)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (c byGRPC) failure(err error) (int, *errdetails.ErrorInfo) {
	failed := status.Convert(err)
	for _, detail := range failed.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return int(failed.Code()), info
		}
	}
	return int(failed.Code()), nil
}
