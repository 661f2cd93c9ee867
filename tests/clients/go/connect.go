package main

import (
	"context"
	"errors"
	"log"
	"net/http"

	"connectrpc.com/connect"
	"google.golang.org/genproto/googleapis/rpc/errdetails"

	tallymarkv1 "tallymark.dev/go/tallymark/v1"
	"tallymark.dev/go/tallymark/v1/tallymarkv1connect"
)

// byConnect calls by connect-go, which speaks three protocols.
type byConnect struct {
	models tallymarkv1connect.ModelRegistryClient
	log    tallymarkv1connect.EventLogClient
}

func connected(kind, base, address string) registry {
	options := map[string][]connect.ClientOption{
		"connect":      nil,
		"connect-json": {connect.WithProtoJSON(), connect.WithHTTPGet()},
		"connect-gzip": {connect.WithSendGzip()},
		"grpc-web":     {connect.WithGRPCWeb()},
		"grpc":         {connect.WithGRPC()},
	}
	chosen, found := options[kind]
	if !found {
		log.Fatalf("no kind %q", kind)
	}
	client := http.DefaultClient
	if kind == "grpc" {
		// gRPC is answered on its own port, by HTTP/2 without TLS.
		protocols := new(http.Protocols)
		protocols.SetUnencryptedHTTP2(true)
		client = &http.Client{Transport: &http.Transport{Protocols: protocols}}
		base = "http://" + address
	}
	return byConnect{
		models: tallymarkv1connect.NewModelRegistryClient(client, base, chosen...),
		log:    tallymarkv1connect.NewEventLogClient(client, base, chosen...),
	}
}

func request[T any](message *T) *connect.Request[T] {
	made := connect.NewRequest(message)
	made.Header().Set("tallymark-actor", actor)
	return made
}

func answer[T any](response *connect.Response[T], err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return response.Msg, nil
}

func (c byConnect) createModel(ctx context.Context, message *tallymarkv1.CreateModelRequest) error {
	_, err := c.models.CreateModel(ctx, request(message))
	return err
}

func (c byConnect) createVersion(
	ctx context.Context, message *tallymarkv1.CreateModelVersionRequest,
) (*tallymarkv1.ModelVersion, error) {
	return answer(c.models.CreateModelVersion(ctx, request(message)))
}

func (c byConnect) setStage(ctx context.Context, message *tallymarkv1.SetStageRequest) error {
	_, err := c.models.SetStage(ctx, request(message))
	return err
}

func (c byConnect) getVersion(
	ctx context.Context, message *tallymarkv1.GetModelVersionRequest,
) (*tallymarkv1.ModelVersion, error) {
	return answer(c.models.GetModelVersion(ctx, request(message)))
}

func (c byConnect) watch(
	ctx context.Context, message *tallymarkv1.WatchRequest, take func(*tallymarkv1.WatchResponse) error,
) error {
	// Closing a stream reads what is left of it, which here has no end.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.log.Watch(ctx, request(message))
	if err != nil {
		return err
	}
	for stream.Receive() {
		if err := take(stream.Msg()); err != nil {
			return err
		}
	}
	return stream.Err()
}

func (c byConnect) export(
	ctx context.Context, message *tallymarkv1.ExportRequest, take func(*tallymarkv1.ExportResponse) error,
) error {
	stream, err := c.log.Export(ctx, request(message))
	if err != nil {
		return err
	}
	defer stream.Close()
	for stream.Receive() {
		if err := take(stream.Msg()); err != nil {
			return err
		}
	}
	return stream.Err()
}

func (c byConnect) failure(err error) (int, *errdetails.ErrorInfo) {
	var failed *connect.Error
	if !errors.As(err, &failed) {
		return int(connect.CodeOf(err)), nil
	}
	for _, detail := range failed.Details() {
		if value, err := detail.Value(); err == nil {
			if info, ok := value.(*errdetails.ErrorInfo); ok {
				return int(failed.Code()), info
			}
		}
	}
	return int(failed.Code()), nil
}
